//! Images and replica counts.

use regex::Regex;

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::fieldspec::{Create, FieldSpec};
use super::file::{Image, Replica};
use super::identity::Gvk;
use super::node::{Node, Scalar, Tag};
use super::resources::Resources;
use super::selector;

/// An entry of `images`.
#[derive(Debug)]
pub(crate) struct ImageStep {
    image: Image,
    fields: Vec<FieldSpec>,
    name: Name,
}

/// How an image's name is compared: Kustomize takes it for a regular expression.
#[derive(Debug)]
enum Name {
    /// No character in it but the point means anything special.
    Simple(String),
    Expression(Regex),
    /// Not an expression: it matches nothing.
    Nothing,
}

impl Name {
    fn new(name: &str) -> Self {
        if name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte))
        {
            return Self::Simple(name.to_owned());
        }
        let rest = r"(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?$";
        selector::expression(&format!("^{name}{rest}")).map_or(Self::Nothing, Self::Expression)
    }

    fn matches(&self, image: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Expression(expression) => expression.is_match(image),
            Self::Simple(name) => {
                let mut rest = image.chars();
                for expected in name.chars() {
                    match rest.next() {
                        Some(c) if c == expected || (expected == '.' && c != '\n') => {}
                        _ => return false,
                    }
                }
                is_tag_and_digest(rest.as_str())
            }
        }
    }
}

/// Whether the text after an image's name is a tag, a digest, both or nothing.
fn is_tag_and_digest(text: &str) -> bool {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.{}-".contains(&byte))
    };
    let (tag, digest) = match text.split_once('@') {
        Some((tag, digest)) => (tag, Some(digest)),
        None => (text, None),
    };
    let tag_fits = tag.is_empty() || tag.strip_prefix(':').is_some_and(plain);
    let digest_fits = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, value)| {
            plain(value)
                && algorithm
                    .split(['.', '+', '_', '-'])
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        })
    });
    tag_fits && digest_fits
}

impl ImageStep {
    pub(crate) fn new(image: Image, fields: Vec<FieldSpec>) -> Self {
        let name = Name::new(&image.name);
        Self {
            image,
            fields,
            name,
        }
    }

    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When an image is not a scalar.
    pub(crate) fn apply(&self, resources: &mut Resources) -> Outcome<()> {
        for resource in resources.iter_mut() {
            if resource.kind() == "CustomResourceDefinition" {
                continue;
            }
            self.everywhere(&mut resource.node)
                .map_err(|error| error.context(&resource.origin.to_string()))?;
            for field in &self.fields {
                field.apply(&mut resource.node, Create::Never, &mut |node| {
                    self.set(node)
                })?;
            }
        }
        Ok(())
    }

    /// All images of items of `containers` and `initContainers`, wherever they are.
    fn everywhere(&self, node: &mut Node) -> Outcome<()> {
        match node {
            Node::Map(map) => {
                for (key, value) in map.iter_mut() {
                    self.everywhere(value)?;
                    if matches!(&**key, "containers" | "initContainers")
                        && let Node::Sequence(items) = value
                    {
                        for item in items {
                            match item {
                                Node::Map(item) => {
                                    if let Some(image) = item.get_mut("image") {
                                        self.set(image)?;
                                    }
                                }
                                item if item.is_null() => {}
                                _ => {
                                    return Err(Failure::render(
                                        "an item of containers is not a mapping",
                                    ));
                                }
                            }
                        }
                    }
                }
                Ok(())
            }
            Node::Sequence(items) => items.iter_mut().try_for_each(|item| self.everywhere(item)),
            Node::Scalar(_) => Ok(()),
        }
    }

    fn set(&self, node: &mut Node) -> Outcome<()> {
        let Node::Scalar(scalar) = node else {
            return Err(Failure::render("an image must be a scalar"));
        };
        if scalar.tag == Tag::Null || !self.name.matches(&scalar.text) {
            return Ok(());
        }
        let (mut name, mut tag, mut digest) = parts(&scalar.text);
        let image = &self.image;
        if !image.new_name.is_empty() {
            name.clone_from(&image.new_name);
        }
        match (image.new_tag.is_empty(), image.digest.is_empty()) {
            (false, _) => {
                tag.clone_from(&image.new_tag);
                digest.clone_from(&image.digest);
            }
            (true, false) => {
                tag.clear();
                digest.clone_from(&image.digest);
            }
            (true, true) if !image.tag_suffix.is_empty() => {
                tag.push_str(&image.tag_suffix);
                digest.clear();
            }
            (true, true) => {}
        }
        if !tag.is_empty() {
            name = format!("{name}:{tag}");
        }
        if !digest.is_empty() {
            name = format!("{name}@{digest}");
        }
        *node = Node::text(&name);
        Ok(())
    }
}

/// Name, tag and digest; a colon before the first slash belongs to the host.
fn parts(image: &str) -> (String, String, String) {
    let start = image.find('/').filter(|at| *at > 0).unwrap_or(0);
    let search = image.get(start..).unwrap_or_default();
    let at = search.find('@').map(|at| at + start);
    let colon = search.find(':').map(|at| at + start);
    let cut = |from: usize, to: usize| image.get(from..to).unwrap_or_default().to_owned();
    let end = image.len();
    match (colon, at) {
        (None, None) => (image.to_owned(), String::new(), String::new()),
        (Some(colon), Some(at)) if colon < at => {
            (cut(0, colon), cut(colon + 1, at), cut(at + 1, end))
        }
        (_, Some(at)) => (cut(0, at), String::new(), cut(at + 1, end)),
        (Some(colon), None) => (cut(0, colon), cut(colon + 1, end), String::new()),
    }
}

/// An entry of `replicas`.
#[derive(Debug)]
pub(crate) struct ReplicaStep {
    pub(crate) replica: Replica,
    pub(crate) fields: Vec<FieldSpec>,
}

impl ReplicaStep {
    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When nothing has the name.
    pub(crate) fn apply(&self, resources: &mut Resources, _budget: &Budget) -> Outcome<()> {
        let mut found = false;
        for field in &self.fields {
            let matches =
                resources.any_id(|id| id.name == self.replica.name && selects(&id.gvk, &field.gvk));
            for at in matches {
                found = true;
                let Some(resource) = resources.get_mut(at) else {
                    continue;
                };
                field.apply(&mut resource.node, Create::Text, &mut |node| match node {
                    Node::Scalar(scalar) => {
                        *scalar = Scalar {
                            tag: if scalar.quoted {
                                Tag::Text
                            } else {
                                Tag::Integer
                            },
                            text: self.replica.count.to_string().into(),
                            quoted: scalar.quoted,
                        };
                        Ok(())
                    }
                    _ => Err(Failure::render("a count of replicas must be a scalar")),
                })?;
            }
        }
        if found {
            return Ok(());
        }
        Err(Failure::render(format!(
            "replicas: no scalable object is named {:?}",
            self.replica.name
        )))
    }
}

fn selects(gvk: &Gvk, pattern: &Gvk) -> bool {
    gvk.is_selected(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_apart_at_the_right_colon() {
        for (image, name, tag, digest) in [
            ("a", "a", "", ""),
            ("a:1", "a", "1", ""),
            ("h:80/a", "h:80/a", "", ""),
            ("h:80/a:1@sha256:x", "h:80/a", "1", "sha256:x"),
            ("a@sha256:x", "a", "", "sha256:x"),
        ] {
            assert_eq!(
                parts(image),
                (name.to_owned(), tag.to_owned(), digest.to_owned()),
                "{image}"
            );
        }
        assert!(Name::new("r.io/a").matches("r.io/a:1"));
        assert!(Name::new("r.io/a").matches("rxio/a"));
        assert!(!Name::new("a").matches("ab"));
        assert!(Name::new("a").matches("a@sha512:x"));
        assert!(Name::new("a|b").matches("a"));
        assert!(!Name::new("a[").matches("a["));
    }
}
