//! Texts for users.

use super::files_of;

/// Errors in the texts of a file: a sentence with a run of blanks, as in a string that continues on the next line
/// without a backslash, or a plural after the number one.
fn wrong_texts(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line == "#[cfg(test)]" {
            break;
        }
        let code = line.trim_start();
        if code.starts_with("//") || !code.contains('"') {
            continue;
        }
        // Text with line breaks is laid out in columns, so runs of blanks are intended.
        let sentence = |before: char, after: char| {
            (before.is_ascii_lowercase() || ",;:.)}".contains(before))
                && (after.is_ascii_lowercase() || after == '(' || after == '{')
        };
        let drawn = code.contains("\\n");
        for (at, _) in code.match_indices("    ") {
            let before = code[..at].chars().next_back();
            let after = code[at..].trim_start().chars().next();
            let quotes = code[..at].matches('"').count() - code[..at].matches("\\\"").count();
            if let (Some(before), Some(after)) = (before, after)
                && !drawn
                && quotes % 2 == 1
                && sentence(before, after)
            {
                wrong.push(format!("{path}:{}: a run of blanks", number + 1));
                break;
            }
        }
        let nouns = [
            "clusters",
            "applications",
            "approvals",
            "entries",
            "environments",
        ];
        for noun in nouns {
            // `{} clusters` would print "1 clusters"; `counted` chooses the right form.
            let plural = format!("}} {noun}");
            let counted = code.match_indices(&plural).any(|(at, _)| {
                let name = code[..at].rsplit('{').next().unwrap_or_default();
                !name.starts_with("MAX") && !code[..at].contains("more than {")
            });
            if counted {
                wrong.push(format!("{path}:{}: {noun} of any number", number + 1));
            }
        }
    }
    wrong
}

#[test]
fn texts_have_no_runs_of_blanks_and_count_one_as_one() {
    let mut wrong = Vec::new();
    for room in [
        "agent/src",
        "hub/src",
        "hub/cli/src",
        "hub/web/src",
        "shared",
    ] {
        for (path, text) in files_of(room) {
            let of_tests = |part: &str| {
                [
                    "tests",
                    "tests.rs",
                    "simulation",
                    "simulation.rs",
                    "benches",
                ]
                .contains(&part)
            };
            if !path.split('/').any(of_tests) {
                wrong.extend(wrong_texts(&path, &text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let planted = "let text = \"so that it can never              prove it\";\n\
                   let text = format!(\"{count} clusters\");\n\
                   let text = format!(\"more than {MAX} clusters\");\n";
    assert_eq!(
        wrong_texts("a.rs", planted),
        ["a.rs:1: a run of blanks", "a.rs:2: clusters of any number"]
    );
}
