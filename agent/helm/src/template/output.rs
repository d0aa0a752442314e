//! Post-processing of all output.

/// Removes `<no value>`, which Go prints for a missing value, from the whole output, as Helm does.
pub(super) fn without_no_value(text: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b"<no value>";
    let mut from = 0;
    let mut out: Option<Vec<u8>> = None;
    while let Some(offset) = find(&text[from..], MARK) {
        let kept = out.get_or_insert_with(Vec::new);
        kept.extend_from_slice(&text[from..from + offset]);
        from += offset + MARK.len();
    }
    match out {
        Some(mut kept) => {
            kept.extend_from_slice(&text[from..]);
            kept
        }
        None => text,
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(offset) = text[from..].iter().position(|byte| *byte == first) {
        let at = from + offset;
        if text[at..].starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
