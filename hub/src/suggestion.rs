//! Names that somebody may have meant. Pure.

/// Names that are listed where none is near.
const LISTED: usize = 8;

/// That there is no such thing, with the name that was likely meant, or with those there are.
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
        // Three wrong letters in a short name are another name.
        .filter(|(distance, known)| *distance <= (known.len().max(name.len()) / 3).max(1));
    match (nearest, all.as_slice()) {
        (Some((_, known)), _) => format!("there is no {what} {name}; did you mean {known}?"),
        (None, []) => format!("there is no {what} {name}, and no other one either"),
        (None, all) if all.len() <= LISTED => {
            format!("there is no {what} {name}; there are: {}", all.join(", "))
        }
        (None, all) => format!(
            "there is no {what} {name}, and none of the {} names is similar",
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
            "there is no cluster a, and no other one either"
        );
        let many: Vec<String> = (0..20).map(|n| format!("cluster-number-{n}")).collect();
        assert_eq!(
            missing("repository", "x", many.iter().map(String::as_str)),
            "there is no repository x, and none of the 20 names is similar"
        );
    }
}
