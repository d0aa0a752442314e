//! From documents to resources: lists are expanded, and each object must have a kind and a name.

use flotilla_shared::reason::Reason;

use super::failure::{Failure, Outcome};
use super::node::Node;
use super::parse::{self, Document};
use super::resource::Resource;
use super::session::Session;
use crate::{Origin, RenderError};

/// Resources of a file in the tree.
///
/// # Errors
/// When it is malformed, or a document is not an object.
pub(crate) fn resources_of_file(
    session: &Session<'_>,
    path: &str,
    content: &[u8],
) -> Outcome<Vec<Resource>> {
    let text = std::str::from_utf8(content).unwrap_or_default();
    refuse_schema_comments(text).map_err(|error| error.at(path))?;
    let documents = session.documents(path, content)?;
    resources(session, path, documents)
}

/// Resources of a text within another file, such as an inline patch.
///
/// # Errors
/// See [`resources_of_file`].
pub(crate) fn resources_of_text(
    session: &Session<'_>,
    place: &str,
    text: &str,
) -> Outcome<Vec<Resource>> {
    refuse_schema_comments(text)?;
    let documents =
        parse::documents(text, &session.limits().yaml, &session.budget).map_err(|error| {
            Failure::new(
                Reason::MalformedYaml,
                format!("line {}: {}", error.line, error.message),
            )
        })?;
    resources(session, place, documents)
}

/// Kustomize also reads from comments how lists merge. Comments are not read here, so such a file is
/// refused.
fn refuse_schema_comments(text: &str) -> Outcome<()> {
    const MARK: &str = "x-kubernetes-patch-";
    if !text.contains(MARK) {
        return Ok(());
    }
    let in_comment = |line: &str| {
        line.split_once('#').is_some_and(|(_, comment)| {
            comment.trim_start().starts_with('{') && comment.contains(MARK)
        })
    };
    match text.lines().position(in_comment) {
        Some(at) => Err(Failure::render(format!(
            "line {}: a schema in a comment is not read; give it with `openapi`",
            at + 1
        ))),
        None => Ok(()),
    }
}

/// Resources of a text that is either inline or a path. None: it is a path.
pub(crate) fn inline(
    session: &Session<'_>,
    place: &str,
    text: &str,
) -> Option<Outcome<Vec<Resource>>> {
    // A path contains no line break, no `: ` and no leading brace.
    if !text.contains('\n') && !text.contains(": ") && !text.starts_with('{') {
        return None;
    }
    Some(resources_of_text(session, place, text))
}

fn resources(
    session: &Session<'_>,
    file: &str,
    documents: Vec<Document>,
) -> Outcome<Vec<Resource>> {
    let mut resources = Vec::with_capacity(documents.len());
    let mut waiting: std::collections::VecDeque<(Node, Origin)> = documents
        .into_iter()
        .enumerate()
        .map(|(document, Document { node, line })| {
            let origin = Origin {
                file: file.to_owned(),
                document,
                line,
            };
            (node, origin)
        })
        .collect();
    while let Some((node, origin)) = waiting.pop_front() {
        if node.is_empty() {
            continue;
        }
        let refuse = |message: String| {
            Failure::Located(RenderError::NotAManifest {
                file: origin.file.clone(),
                line: origin.line,
                message,
            })
        };
        let Node::Map(mut map) = node else {
            return Err(refuse("the document is not a mapping".to_owned()));
        };
        let kind = map.get("kind").map_or("", Node::scalar_text).to_owned();
        if kind.is_empty() {
            return Err(refuse("kind is missing".to_owned()));
        }
        if kind.ends_with("List") {
            match map.remove("items") {
                Some(Node::Sequence(items)) => {
                    // Items are queued after what is already waiting, as in Kustomize.
                    for item in items {
                        waiting.push_back((item, origin.clone()));
                    }
                    continue;
                }
                Some(items) if items.is_null() => continue,
                Some(_) => return Err(refuse(format!("items of a {kind} are not a list"))),
                None => {}
            }
        }
        let node = Node::Map(map);
        let resource = Resource::new(node, origin.clone(), &session.schema);
        if resource.name().is_empty() && !kind.ends_with("List") {
            return Err(refuse("metadata.name is missing".to_owned()));
        }
        if session.limits().manifests < resources.len() {
            return Err(RenderError::LimitExceeded {
                path: origin.file,
                what: "manifests",
                limit: session.limits().manifests,
            }
            .into());
        }
        resources.push(resource);
    }
    Ok(resources)
}
