//! A Git server's answer about one commit: recorded, or built from a few lines that a fuzzer can reorder, with correct
//! object ids and the expected result.

use std::collections::BTreeSet;

use flotilla_shared::revision::Commit;
use flotilla_shared::source::{Directories, TreeId};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Maximum length of a path, in bytes.
const MAX_PATH: usize = 4096;

/// `said <commit>`, a newline, and the server's whole answer (protocol v2 over a pipe).
pub(crate) fn recorded(data: &[u8]) -> Option<(Commit, &[u8])> {
    let rest = data.strip_prefix(b"said ")?;
    let (commit, said) = rest.split_at_checked(40)?;
    let commit = std::str::from_utf8(commit).ok()?.parse().ok()?;
    Some((commit, said.strip_prefix(b"\n")?))
}

/// An entry of a tree: its mode as written, its name, and for a directory its tree.
struct Entry<'d> {
    mode: &'d [u8],
    name: &'d [u8],
    child: usize,
}

/// Trees as lines: `T` begins one, and `<mode> <tree> <name>` is an entry that refers to the tree with that number if
/// it comes later, and otherwise to a missing one. The first tree is the root.
///
/// The last of the three is the expected result: none if a mode is not Git's own.
pub(crate) fn made(
    data: &[u8],
    directories: usize,
    depth: usize,
) -> (Commit, Vec<u8>, Option<Option<Directories>>) {
    let mut trees: Vec<Vec<Entry<'_>>> = vec![Vec::new()];
    let lines = data.split(|byte| *byte == b'\n');
    for line in lines.take(1_000).filter(|line| !line.is_empty()) {
        if line == b"T" {
            trees.push(Vec::new());
            continue;
        }
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(mode), Some(child), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let child = std::str::from_utf8(child).ok();
        let child = child.and_then(|text| text.parse().ok()).unwrap_or(0);
        if let Some(last) = trees.last_mut() {
            last.push(Entry { mode, name, child });
        }
    }
    let mut ids = vec![[0; 20]; trees.len()];
    let mut entries = Vec::new();
    for (index, tree) in trees.iter().enumerate().rev() {
        let mut raw = Vec::new();
        for entry in tree {
            let child = (entry.child > index)
                .then(|| ids.get(entry.child))
                .flatten();
            raw.extend([entry.mode, b" ", entry.name, b"\0"].concat());
            raw.extend(child.unwrap_or(&[0; 20]));
        }
        ids[index] = object(2, "tree", &raw, &mut entries);
    }
    let who = "a <a@example.com> 1700000000 +0000";
    let commit = format!(
        "tree {}\nauthor {who}\ncommitter {who}\n\nx\n",
        hex(&ids[0])
    );
    let commit = object(1, "commit", commit.as_bytes(), &mut entries);
    let count = u32::try_from(trees.len() + 1).expect("few");
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(count.to_be_bytes());
    pack.extend(entries);
    pack.extend_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack).as_ref());
    let modes = [&b"40000"[..], b"100644", b"100755", b"120000", b"160000"];
    let mut all = trees.iter().flatten();
    let expected = all
        .all(|entry| modes.contains(&entry.mode) && !entry.name.contains(&0))
        .then(|| expected(&trees, &ids, directories, depth));
    (
        hex(&commit).parse().expect("an id"),
        conversation(&pack),
        expected,
    )
}

/// A second implementation of the rules, in the opposite direction.
fn expected(
    trees: &[Vec<Entry<'_>>],
    ids: &[TreeId],
    directories: usize,
    depth: usize,
) -> Option<Directories> {
    let below = |tree: &Vec<Entry<'_>>| -> Option<Vec<(String, usize)>> {
        let children = tree.iter().filter(|entry| entry.mode == b"40000");
        let mut names = BTreeSet::new();
        let mut found = Vec::new();
        for entry in children {
            let name = std::str::from_utf8(entry.name).ok()?;
            let is_plain = !matches!(name, "" | "." | "..") && !name.contains('/');
            (is_plain && names.insert(name)).then_some(())?;
            found.push((name.to_owned(), entry.child));
        }
        Some(found)
    };
    let below: Option<Vec<_>> = trees.iter().map(below).collect();
    let below = below?;
    if below.iter().map(Vec::len).sum::<usize>() > directories {
        return None;
    }
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), 0, 0)];
    while let Some((path, tree, level)) = waiting.pop() {
        if found.len() >= directories || level > depth {
            return None;
        }
        for (name, child) in below.get(tree)? {
            let separator = if path.is_empty() { "" } else { "/" };
            let child_path = format!("{path}{separator}{name}");
            let length = path.len().max(1) + name.len();
            if length >= MAX_PATH || *child <= tree {
                return None;
            }
            waiting.push((child_path, *child, level + 1));
        }
        let shown = if path.is_empty() {
            ".".to_owned()
        } else {
            path
        };
        found.push((shown, *ids.get(tree)?));
    }
    Some(Directories::new(found))
}

/// Appends an object to a pack's entries, stored without compression; returns its id.
fn object(kind: u8, name: &str, raw: &[u8], entries: &mut Vec<u8>) -> TreeId {
    let mut size = raw.len();
    let mut byte = kind << 4 | u8::try_from(size & 15).expect("four bits");
    size >>= 4;
    while size > 0 {
        entries.push(byte | 0x80);
        byte = u8::try_from(size & 0x7f).expect("seven bits");
        size >>= 7;
    }
    entries.push(byte);
    entries.extend([0x78, 0x01]);
    let mut blocks = raw.chunks(0xffff).peekable();
    if raw.is_empty() {
        entries.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block");
        entries.push(u8::from(blocks.peek().is_none()));
        entries.extend(length.to_le_bytes());
        entries.extend((!length).to_le_bytes());
        entries.extend(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in raw {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    entries.extend((b << 16 | a).to_be_bytes());
    let whole = [format!("{name} {}\0", raw.len()).as_bytes(), raw].concat();
    let id = digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole);
    id.as_ref().try_into().expect("twenty bytes")
}

/// A server with protocol v2 and filters that answers with this pack.
fn conversation(pack: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    let mut line = |text: &[u8]| {
        said.extend(format!("{:04x}", text.len() + 4).into_bytes());
        said.extend(text);
    };
    line(b"version 2\n");
    line(b"fetch=shallow filter\n");
    line(b"object-format=sha1\n");
    said.extend(b"0000");
    let mut line = |text: &[u8]| {
        said.extend(format!("{:04x}", text.len() + 4).into_bytes());
        said.extend(text);
    };
    line(b"packfile\n");
    for part in pack.chunks(60_000) {
        line(&[b"\x01", part].concat());
    }
    said.extend(b"0000");
    said
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
