//! Variables: `$(NAME)` in the fields that are known for them (`refvar`).

use std::collections::BTreeMap;

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::fieldspec::{Create, FieldSpec};
use super::file::Var;
use super::identity::{Gvk, ResId};
use super::lookup;
use super::node::{Node, Scalar, Tag};
use super::resources::Resources;

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars(BTreeMap<String, Var>);

impl Vars {
    /// Notes which resources variables are read from, and takes the variables over.
    ///
    /// # Errors
    /// When a name is taken, or several resources could be meant.
    pub(crate) fn declare(&mut self, vars: &[Var], resources: &mut Resources) -> Outcome<()> {
        for var in vars {
            let id = target(var);
            let any_namespace = id.namespace.is_empty();
            let matches = resources.any_id(|other| {
                if any_namespace {
                    other.name == id.name && other.gvk == id.gvk
                } else {
                    other.equals(&id)
                }
            });
            match *matches.as_slice() {
                [] => {}
                [at] => {
                    if let Some(resource) = resources.get_mut(at) {
                        resource.vars.push(var.name.clone());
                    }
                }
                _ => {
                    return Err(Failure::render(format!(
                        "var {:?}: {} objects match {id}; give its namespace",
                        var.name,
                        matches.len()
                    )));
                }
            }
            self.add(var.clone())?;
        }
        Ok(())
    }

    /// Takes another set's variables over.
    ///
    /// # Errors
    /// When a name is in both.
    pub(crate) fn merge(&mut self, other: Self) -> Outcome<()> {
        other.0.into_values().try_for_each(|var| self.add(var))
    }

    fn add(&mut self, var: Var) -> Outcome<()> {
        if self.0.contains_key(&var.name) {
            return Err(Failure::render(format!(
                "var {:?} is defined twice",
                var.name
            )));
        }
        self.0.insert(var.name.clone(), var);
        Ok(())
    }

    /// Replaces all variables.
    ///
    /// # Errors
    /// When a variable's object or field is not there.
    pub(crate) fn resolve(
        &self,
        resources: &mut Resources,
        specs: &[FieldSpec],
        budget: &Budget,
    ) -> Outcome<()> {
        let mut values = BTreeMap::new();
        for var in self.0.values() {
            values.insert(var.name.as_str(), value(var, resources)?);
        }
        if values.is_empty() {
            return Ok(());
        }
        for resource in resources.iter_mut() {
            for spec in specs {
                spec.apply(&mut resource.node, Create::Never, &mut |node| {
                    replace_in(node, &values, budget)
                })?;
            }
        }
        Ok(())
    }
}

fn target(var: &Var) -> ResId {
    let object = &var.object;
    let mut gvk = Gvk {
        group: object.group.clone(),
        version: object.version.clone(),
        kind: object.kind.clone(),
    };
    match *object.api_version.split('/').collect::<Vec<_>>().as_slice() {
        [version] if !version.is_empty() => version.clone_into(&mut gvk.version),
        [group, version] => {
            group.clone_into(&mut gvk.group);
            version.clone_into(&mut gvk.version);
        }
        _ => {}
    }
    ResId {
        gvk,
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        cluster_scoped: false,
    }
}

/// A variable's value. None: it is a collection, which Kustomize leaves unreplaced.
fn value(var: &Var, resources: &Resources) -> Outcome<Option<Scalar>> {
    let path = match var.field.field_path.as_str() {
        "" => "metadata.name",
        path => path,
    };
    let holder = resources
        .iter()
        .find(|resource| resource.vars.contains(&var.name))
        .ok_or_else(|| {
            Failure::render(format!(
                "var {:?}: no {} is named {:?}",
                var.name, var.object.kind, var.object.name
            ))
        })?;
    let found = lookup::find(&holder.node, &lookup::with_indices(path))
        .ok()
        .flatten()
        .ok_or_else(|| {
            Failure::render(format!(
                "var {:?}: {} has no field {path:?}",
                var.name,
                holder.current_id()
            ))
        })?;
    Ok(match found {
        Node::Scalar(scalar) => Some(match scalar.tag {
            Tag::Null | Tag::Time => Scalar::text(&scalar.text),
            _ => scalar.clone(),
        }),
        Node::Map(_) | Node::Sequence(_) => None,
    })
}

type Values<'v> = BTreeMap<&'v str, Option<Scalar>>;

fn replace_in(node: &mut Node, values: &Values<'_>, budget: &Budget) -> Outcome<()> {
    match node {
        Node::Scalar(scalar) => {
            if scalar.tag == Tag::Text {
                *scalar = replaced(&scalar.text, values, budget)?;
            }
            Ok(())
        }
        Node::Map(map) => {
            for (_, value) in map.iter_mut() {
                if let Node::Scalar(scalar) = value
                    && scalar.tag == Tag::Text
                {
                    *scalar = replaced(&scalar.text, values, budget)?;
                }
            }
            Ok(())
        }
        Node::Sequence(items) => {
            for item in items {
                match item {
                    Node::Scalar(scalar) if scalar.tag == Tag::Text => {
                        *scalar = replaced(&scalar.text, values, budget)?;
                    }
                    _ => {
                        return Err(Failure::render(
                            "variables in a list are only replaced in text items",
                        ));
                    }
                }
            }
            Ok(())
        }
    }
}

/// A text with its variables replaced; a text that consists of one variable keeps the type of its value.
fn replaced(text: &str, values: &Values<'_>, budget: &Budget) -> Outcome<Scalar> {
    if !text.contains('$') {
        return Ok(Scalar::text(text));
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        let Some(first) = after.chars().next() else {
            // A dollar at the very end is literal.
            result.push('$');
            rest = "";
            break;
        };
        match first {
            '$' => {
                result.push('$');
                rest = after.get(1..).unwrap_or_default();
            }
            '(' => match after.find(')') {
                Some(end) => {
                    let name = after.get(1..end).unwrap_or_default();
                    rest = after.get(end + 1..).unwrap_or_default();
                    match values.get(name) {
                        Some(Some(value)) => {
                            if text.len() == name.len() + 3 {
                                return Ok(typed(value));
                            }
                            budget.work(value.text.len())?;
                            result.push_str(&typed(value).text);
                        }
                        _ => {
                            result.push_str("$(");
                            result.push_str(name);
                            result.push(')');
                        }
                    }
                }
                None => {
                    result.push_str("$(");
                    rest = after.get(1..).unwrap_or_default();
                }
            },
            other => {
                result.push('$');
                result.push(other);
                rest = after.get(other.len_utf8()..).unwrap_or_default();
            }
        }
    }
    result.push_str(rest);
    Ok(Scalar::text(&result))
}

/// A parsed value as Go prints it.
fn typed(value: &Scalar) -> Scalar {
    let text = match value.tag {
        Tag::Bool => value.text.to_ascii_lowercase(),
        Tag::Float => value
            .text
            .parse::<f64>()
            .map_or_else(|_| value.text.to_string(), |number| number.to_string()),
        _ => return value.clone(),
    };
    Scalar {
        tag: value.tag,
        text: text.into(),
        quoted: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn variables_are_replaced_and_escaped() {
        let budget = Budget::new(&Limits::default());
        let values: Values<'_> = [
            ("A", Some(Scalar::text("x"))),
            ("N", Some(Scalar::plain("80"))),
            ("M", None),
        ]
        .into_iter()
        .collect();
        for (text, expected) in [
            ("$(A)", Scalar::text("x")),
            ("$(N)", Scalar::plain("80")),
            ("p$(N)", Scalar::text("p80")),
            ("$(A)-$(B)$(M)", Scalar::text("x-$(B)$(M)")),
            ("$$(A)", Scalar::text("$(A)")),
            ("$A $( end$", Scalar::text("$A $( end$")),
        ] {
            assert_eq!(replaced(text, &values, &budget), Ok(expected), "{text}");
        }
    }
}
