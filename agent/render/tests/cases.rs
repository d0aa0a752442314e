//! Cases after public reports (`tests/cases/render`): each folder `in` renders to `expected.json`, documents
//! in order.

mod support;

use std::path::Path;

use flotilla_render::{Options, render};
use serde_json::Value;
use support::Failure;

#[test]
fn r01_cases_render_to_what_kubectl_or_kustomize_make_of_them() -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/render");
    let (mut right, mut wrong) = (0, Vec::new());
    for case in std::fs::read_dir(&folder)? {
        let case = case?.path();
        let tree = support::tree(&case.join("in"))?;
        // The path within the folder, if it is not the top.
        let path = std::fs::read_to_string(case.join("path")).unwrap_or_default();
        let want: Vec<Value> = serde_json::from_slice(&std::fs::read(case.join("expected.json"))?)?;
        match render(&tree, path.trim(), &Options::default()) {
            Ok(rendered) => {
                let got: Vec<Value> = rendered
                    .manifests
                    .into_iter()
                    .map(|manifest| manifest.value)
                    .collect();
                if got == want {
                    right += 1;
                } else {
                    wrong.push(format!("{}: {got:#?}", case.display()));
                }
            }
            Err(error) => wrong.push(format!("{}: {error}", case.display())),
        }
    }
    assert!(
        wrong.is_empty(),
        "{right} right, {} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(right >= 12, "the cases are not all there");
    Ok(())
}
