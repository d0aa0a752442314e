//! `ValueAddTransformer`: one value into several fields.

use super::failure::{Failure, Outcome};
use super::fieldspec::{Create, FieldSpec, split};
use super::file::Selector;
use super::node::Node;
use super::resources::Resources;
use super::selector::Pattern;

/// A place for the value.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Target {
    pub(crate) selector: Option<Selector>,
    pub(crate) field_path: String,
    pub(crate) file_path_position: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ValueAddStep {
    pub(crate) value: String,
    /// Where it goes.
    pub(crate) targets: Vec<Target>,
}

impl ValueAddStep {
    /// Applies the transformer to all resources.
    ///
    /// # Errors
    /// When a selector is malformed or a field is not a scalar.
    pub(crate) fn apply(&self, resources: &mut Resources) -> Outcome<()> {
        if self.targets.is_empty() {
            return Err(Failure::render("at least one target is required"));
        }
        for target in &self.targets {
            if target.field_path.is_empty() || target.file_path_position < 0 {
                return Err(Failure::render(
                    "a target needs a fieldPath and a filePathPosition that is not negative",
                ));
            }
            let selected = match &target.selector {
                Some(selector) => resources.select(&Pattern::new(selector)?)?,
                None => (0..resources.len()).collect(),
            };
            // Unlike in field specifications, every segment is the field of a mapping.
            let path = split(&target.field_path, '/').join("/");
            for at in selected {
                let Some(resource) = resources.get_mut(at) else {
                    continue;
                };
                if path == "metadata/namespace" {
                    if !resource.current_id().cluster_scoped {
                        resource.set_metadata("namespace", &self.value);
                    }
                    continue;
                }
                let spec = FieldSpec::of_any(&target.field_path).creating();
                spec.apply(&mut resource.node, Create::Text, &mut |node| match node {
                    Node::Scalar(scalar) => {
                        let text = if target.file_path_position > 0 {
                            inserted(&scalar.text, target.file_path_position - 1, &self.value)
                        } else {
                            self.value.clone()
                        };
                        *node = Node::text(&text);
                        Ok(())
                    }
                    _ => Err(Failure::render("the field must be a scalar")),
                })?;
            }
        }
        Ok(())
    }
}

/// A path with a part put in at a place; a leading slash stays in front.
fn inserted(path: &str, position: i64, part: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let at = usize::try_from(position)
        .unwrap_or(usize::MAX)
        .min(parts.len());
    parts.insert(at, part);
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_into_paths() {
        for (path, position, expected) in [
            ("", 0, "PEACH"),
            ("/", 3, "/PEACH"),
            ("pie", 0, "PEACH/pie"),
            ("/pie", 0, "/PEACH/pie"),
            ("/raw", 9, "/raw/PEACH"),
            ("a/nice/warm/pie", 3, "a/nice/warm/PEACH/pie"),
        ] {
            assert_eq!(inserted(path, position, "PEACH"), expected, "{path}");
        }
    }
}
