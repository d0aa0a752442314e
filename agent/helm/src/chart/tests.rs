//! Loading: cases that the conformance charts lack, and hostile archives.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

use super::glob::Glob;
use super::{Chart, File, path_match};

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\n";

/// One entry of a tar archive.
fn entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    header[156] = kind;
    header[257..262].copy_from_slice(b"ustar");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut out = header.to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().div_ceil(512) * 512, 0);
    out
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for entry in entries {
        encoder.write_all(entry).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

fn refusal(entries: &[Vec<u8>]) -> String {
    Chart::from_archive(&archive(entries))
        .unwrap_err()
        .to_string()
}

#[test]
fn an_archive_is_a_chart_in_a_folder() {
    let long = "x".repeat(120);
    let pax = format!("path=app/files/{long}\n");
    let record = format!("{} {pax}", pax.len() + 4);
    let chart = Chart::from_archive(&archive(&[
        entry("app/Chart.yaml", b'0', CHART.as_bytes()),
        entry("app/templates/", b'5', b""),
        entry("app/templates/a.yaml", b'0', b"a"),
        entry("PaxHeader", b'x', record.as_bytes()),
        entry("app/files/short", b'0', b"long name"),
        entry(
            "././@LongLink",
            b'L',
            format!("app/files/gnu-{long}\0").as_bytes(),
        ),
        entry("app/files/cut", b'0', b"gnu"),
    ]))
    .unwrap();
    assert_eq!(chart.templates, [File::new("templates/a.yaml", &b"a"[..])]);
    let names: Vec<&str> = chart.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [format!("files/{long}"), format!("files/gnu-{long}")]
    );
}

#[test]
fn an_archive_that_leaves_its_folder_is_refused() {
    let chart = entry("app/Chart.yaml", b'0', CHART.as_bytes());
    for name in ["app/../../etc/passwd", "app//etc/passwd", "app/a/../../x"] {
        let error = refusal(&[chart.clone(), entry(name, b'0', b"x")]);
        assert!(error.starts_with("chart illegally"), "{name}: {error}");
    }
    let error = refusal(&[entry("Chart.yaml", b'0', CHART.as_bytes())]);
    assert_eq!(error, "chart yaml not in base directory");
}

#[test]
fn links_in_an_archive_lead_nowhere() {
    let chart = Chart::from_archive(&archive(&[
        entry("app/Chart.yaml", b'0', CHART.as_bytes()),
        entry("app/files/link", b'2', b""),
    ]))
    .unwrap();
    assert!(chart.files[0].data.is_empty());
}

#[test]
fn bombs_are_refused_within_bounds() {
    // 3 GB of zeros in 3 MB.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0_u8; 1 << 20];
    encoder
        .write_all(&entry("app/Chart.yaml", b'0', CHART.as_bytes()))
        .unwrap();
    for _ in 0..300 {
        encoder.write_all(&zeros).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let error = Chart::from_archive(&bytes).unwrap_err().to_string();
    assert!(error.contains("larger than the maximum size"), "{error}");
    let large = vec![b'x'; (5 << 20) + 1];
    let error = refusal(&[
        entry("app/Chart.yaml", b'0', CHART.as_bytes()),
        entry("app/files/large", b'0', &large),
    ]);
    assert!(error.contains("maximum file size"), "{error}");
}

#[test]
fn broken_archives_are_errors() {
    let good = archive(&[entry("app/Chart.yaml", b'0', CHART.as_bytes())]);
    assert!(Chart::from_archive(b"no gzip").is_err());
    for length in 0..good.len() {
        let _ = Chart::from_archive(&good[..length]);
    }
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 0x55;
        let _ = Chart::from_archive(&broken);
    }
}

#[test]
fn an_archive_in_charts_is_a_subchart() {
    let subchart = archive(&[entry(
        "sub/Chart.yaml",
        b'0',
        CHART.replace("app", "sub").as_bytes(),
    )]);
    let chart = Chart::from_folder(vec![
        File::new("Chart.yaml", CHART.as_bytes()),
        File::new("charts/sub-1.0.0.tgz", subchart),
        File::new("charts/_off/Chart.yaml", &b"no"[..]),
    ])
    .unwrap();
    assert_eq!(chart.dependencies.len(), 1);
    assert_eq!(chart.dependencies[0].name(), "sub");
}

#[test]
fn charts_in_charts_without_end_are_refused() {
    let mut prefix = String::new();
    let mut files = Vec::new();
    for _ in 0..40 {
        files.push(File::new(format!("{prefix}Chart.yaml"), CHART.as_bytes()));
        prefix.push_str("charts/app/");
    }
    let error = Chart::from_folder(files).unwrap_err().to_string();
    assert!(error.contains("nested more than"), "{error}");
}

#[test]
fn ignored_files_are_not_of_the_chart() {
    let kept = |rules: &str, path: &str| {
        let chart = Chart::from_folder(vec![
            File::new("Chart.yaml", CHART.as_bytes()),
            File::new(".helmignore", rules.as_bytes()),
            File::new(path, &b"x"[..]),
        ])
        .unwrap();
        let mut files = chart.files.iter().chain(&chart.templates);
        files.any(|file| file.name == path)
    };
    assert!(kept("", "files/a.txt"));
    assert!(!kept("*.txt", "files/a.txt"));
    assert!(!kept("files/", "files/a.txt"));
    assert!(!kept("/files", "files/a.txt"));
    assert!(kept("/a.txt", "files/a.txt"));
    assert!(kept("a.txt/", "files/a.txt"));
    assert!(kept("# *.txt\n\n", "files/a.txt"));
    assert!(!kept("files/*.txt", "files/a.txt"));
    assert!(kept("files/*.txt", "files/b/a.txt"));
    assert!(!kept("", "templates/.hidden.yaml"));
}

#[test]
fn patterns_match_as_in_go() {
    let go = |pattern: &str, name: &str| path_match(pattern, name);
    for (pattern, name, expected) in [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("ab[c]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "a*b", true),
        ("a?b", "a/b", false),
        ("a???b", "a\u{263a}b", false),
        ("*x", "xxx", true),
    ] {
        assert_eq!(go(pattern, name), Ok(expected), "{pattern} {name}");
    }
    for pattern in ["[]a]", "[-]", "[x-]", "[", "[^", "a[", "\\", "[a-b-c]"] {
        assert!(go(pattern, "a").is_err(), "{pattern}");
    }
}

#[test]
fn globs_match_as_gobwas_does() {
    for (pattern, path, expected) in [
        ("files/*", "files/a", true),
        ("files/*", "files/b/a", false),
        ("files/**", "files/b/a", true),
        ("**.yaml", "files/b/a.yaml", true),
        ("*.{yaml,yml}", "a.yml", true),
        ("{a,b*}/?", "bcd/x", true),
        ("[!a-c]x", "dx", true),
        ("[abc]x", "dx", false),
        ("a.b", "aXb", false),
        // A malformed pattern matches everything.
        ("{a", "zzz", true),
        ("[a", "zzz", true),
    ] {
        assert_eq!(
            Glob::new(pattern).matches(path),
            expected,
            "{pattern} {path}"
        );
    }
}
