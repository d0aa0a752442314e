//! Lists of names in notes.

/// Highest number of clusters that a note names; the rest is counted.
const NAMED: usize = 5;

pub(in crate::fleet) fn listed<T: ToString>(
    names: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) -> String {
    let names = names.into_iter();
    let more = names.len().saturating_sub(NAMED);
    let mut text: Vec<String> = names.take(NAMED).map(|name| name.to_string()).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}
