//! Own cases, which are always present, and their results when bytes change.

#[path = "support/archive.rs"]
mod archive;
#[path = "support/verdict.rs"]
mod verdict;

use std::path::Path;
use std::time::{Duration, Instant};

use flotilla_render::{Facts, Options, Renderer, render};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn fixtures() -> Result<Vec<(String, String)>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            all.push((path.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    all.sort();
    Ok(all)
}

fn options() -> Options {
    Options {
        renderer: Renderer::Kustomize,
        ..Options::default()
    }
}

#[test]
fn our_cases_render_as_kustomize_renders_them() -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (name, text) in fixtures()? {
        let mut files = archive::files(&text);
        let (what, expected) = files.pop().ok_or("an empty case")?;
        let rendered = render(&archive::tree(&files), "", &options());
        match (what, rendered) {
            ("refused", Err(_)) => {}
            ("expected", Ok(rendered)) => {
                let limits = flotilla_yaml::Limits::default();
                let expected: Vec<Value> = flotilla_yaml::parse_documents(expected, &limits)?
                    .into_iter()
                    .map(|document| document.value)
                    .filter(|value| !value.is_null())
                    .collect();
                // The order counts as well.
                let got: Vec<Value> = rendered
                    .manifests
                    .into_iter()
                    .map(|manifest| manifest.value)
                    .collect();
                if got != expected {
                    wrong.push(format!("{name}\n got {got:#?}\nwant {expected:#?}"));
                }
            }
            (_, rendered) => wrong.push(format!("{name} should be {what}, but {rendered:?}")),
        }
    }
    verdict::none_wrong(&wrong);
    Ok(())
}

/// A generator of numbers that is the same everywhere (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from((number ^ (number >> 31)) % limit).unwrap_or(0)
    }
}

/// A text with lines or bytes changed, doubled, taken away, or taken from another.
fn mutated(text: &str, other: &str, numbers: &mut Numbers) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(lines.len());
        let foreign = other
            .lines()
            .nth(numbers.below(other.lines().count()))
            .unwrap_or_default();
        match numbers.below(7) {
            0 if lines.len() > 1 => {
                lines.remove(at);
            }
            1 => lines.insert(at, foreign.to_owned()),
            2 if at < lines.len() => {
                let line = lines[at].clone();
                lines.insert(at, line);
            }
            3 if at < lines.len() => lines[at] = format!("  {}", lines[at]),
            4 if at < lines.len() => {
                let replaced: String = lines[at]
                    .chars()
                    .map(|c| {
                        if numbers.below(12) == 0 {
                            [':', '-', '{', '[', '$', '0', '~', '&', '*', '/', '.', 'é']
                                [numbers.below(12)]
                        } else {
                            c
                        }
                    })
                    .collect();
                lines[at] = replaced;
            }
            5 if at < lines.len() => {
                let other = numbers.below(lines.len());
                lines.swap(at, other);
            }
            _ if at < lines.len() => {
                let end = numbers.below(lines[at].chars().count() + 1);
                lines[at] = lines[at].chars().take(end).collect();
            }
            _ => {}
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn r01_changed_trees_render_or_are_refused_but_nothing_else() -> Result<(), Failure> {
    let seed: u64 = std::env::var("FLOTILLA_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let count: usize = std::env::var("FLOTILLA_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3000);
    eprintln!("FLOTILLA_SEED={seed}");
    let mut numbers = Numbers(seed);
    let fixtures = fixtures()?;
    let facts = Facts::of_cluster("c", "e", &[("l".to_owned(), "v".to_owned())].into());
    for number in 0..count {
        let (name, text) = &fixtures[numbers.below(fixtures.len())];
        let (_, other) = &fixtures[numbers.below(fixtures.len())];
        let text = mutated(text, other, &mut numbers);
        let tree = archive::tree(&archive::files(&text));
        let start = Instant::now();
        let once = render(&tree, "", &options());
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(2),
            "{number}: {name} took {took:?}:\n{text}"
        );
        assert_eq!(
            once,
            render(&tree, "", &options()),
            "{number}: {name}:\n{text}"
        );
        let with_facts = Options {
            facts: Some(facts.clone()),
            ..options()
        };
        let _ = render(&tree, "", &with_facts);
        let _ = render(
            &tree,
            "",
            &Options {
                renderer: Renderer::Plain,
                ..Options::default()
            },
        );
    }
    Ok(())
}
