//! A tar archive (POSIX.1-1988 ustar) of small texts. Pure.

const BLOCK: usize = 512;

/// The archive of files; `seconds` is the time that they all bear. Names are ours: short, without `..`.
pub(crate) fn archive<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    seconds: i64,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        out.extend_from_slice(&header(name, content.len(), seconds));
        out.extend_from_slice(content);
        let filled = out.len().next_multiple_of(BLOCK);
        out.resize(filled, 0);
    }
    // Two empty blocks are the end.
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn header(name: &str, size: usize, seconds: i64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(
        0,
        name.as_bytes()
            .get(..name.len().min(99))
            .unwrap_or_default(),
    );
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", seconds.max(0)).as_bytes());
    // The sum is over the header with blanks in the sum's place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block
        .iter_mut()
        .skip(148)
        .zip(format!("{sum:06o}\0 ").as_bytes())
    {
        *to = *from;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_tar_reads_it() {
        let long = vec![b'x'; 1000];
        let bytes = archive(
            [
                ("bundle/a.txt", b"one\n".as_slice()),
                ("bundle/b.txt", &long),
            ],
            1_893_456_000,
        );
        assert_eq!(bytes.len() % BLOCK, 0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        std::fs::write(&path, &bytes).unwrap();
        let status = std::process::Command::new("tar")
            .arg("-C")
            .arg(directory.path())
            .arg("-xf")
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        assert_eq!(read("bundle/a.txt"), b"one\n");
        assert_eq!(read("bundle/b.txt"), long);
    }
}
