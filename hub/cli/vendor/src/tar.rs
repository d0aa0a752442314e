//! Tar archives (POSIX.1-1988 ustar, with GNU's long names). Pure.

const BLOCK: usize = 512;

/// Makes the archive of files, all with this `mode` and time (`seconds`). Names are relative, without `..`.
#[must_use]
pub fn archive<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    mode: u32,
    seconds: i64,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        if name.len() >= 100 {
            let long = [name.as_bytes(), b"\0"].concat();
            put(
                &mut out,
                &header("././@LongLink", b'L', long.len(), 0, 0),
                &long,
            );
        }
        let head = header(name, b'0', content.len(), mode, seconds);
        put(&mut out, &head, content);
    }
    // Two empty blocks end the archive.
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn put(out: &mut Vec<u8>, header: &[u8; BLOCK], content: &[u8]) {
    out.extend_from_slice(header);
    out.extend_from_slice(content);
    let filled = out.len().next_multiple_of(BLOCK);
    out.resize(filled, 0);
}

fn header(name: &str, kind: u8, size: usize, mode: u32, seconds: i64) -> [u8; BLOCK] {
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
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", seconds.max(0)).as_bytes());
    // The checksum is over the header with blanks in its own field.
    put(148, b"        ");
    put(156, &[kind]);
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
        let large = vec![b'x'; 1000];
        let long = format!("bundle/{}/{}.txt", "d".repeat(90), "f".repeat(90));
        let bytes = archive(
            [
                ("bundle/a.txt", b"one\n".as_slice()),
                ("bundle/b.txt", &large),
                (&long, b"long"),
            ],
            0o600,
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
        assert_eq!(read("bundle/b.txt"), large);
        assert_eq!(read(&long), b"long");
    }
}
