//! Suggestions of names. Pure.

/// Highest number of names that are listed where none is similar.
const LISTED: usize = 8;

/// Returns the error for an unknown name, with a similar name or the existing ones.
#[must_use]
pub(crate) fn missing<'n>(
    what: &str,
    name: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> String {
    let all: Vec<&str> = names.into_iter().collect();
    let nearest = all
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), *known))
        .min()
        // Scaled with the length: three wrong letters in a short name are a different name.
        .filter(|(distance, known)| *distance <= (known.len().max(name.len()) / 3).max(1));
    match (nearest, all.as_slice()) {
        (Some((_, known)), _) => format!("there is no {what} {name}; did you mean {known}?"),
        (None, []) => format!("there is no {what} {name}; the fleet has none"),
        (None, all) if all.len() <= LISTED => {
            format!("there is no {what} {name}; there are: {}", all.join(", "))
        }
        (None, all) => format!(
            "there is no {what} {name}; none of the {} known names is similar",
            all.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let names = ["dev", "stage", "prod"];
        let say = |name| missing("environment", name, names);
        assert_eq!(
            say("prd"),
            "there is no environment prd; did you mean prod?"
        );
        assert_eq!(
            say("stgae"),
            "there is no environment stgae; did you mean stage?"
        );
        assert_eq!(
            say("europe"),
            "there is no environment europe; there are: dev, stage, prod"
        );
        assert_eq!(
            missing("cluster", "a", []),
            "there is no cluster a; the fleet has none"
        );
        let many: Vec<String> = (0..20).map(|n| format!("cluster-number-{n}")).collect();
        assert_eq!(
            missing("repository", "x", many.iter().map(String::as_str)),
            "there is no repository x; none of the 20 known names is similar"
        );
    }
}
