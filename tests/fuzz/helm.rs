use flotilla_helm::chart::{Chart, File};
use flotilla_helm::release::{Release, render};
use flotilla_helm::{
    Engine, Limits, Map, Options, Templates, Value, capabilities, functions, semver, values,
};

/// A chart's template: rendering always terminates, and a second render gives the same result.
pub(crate) fn helm_template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut templates = Templates::new(functions::all());
    if templates.parse("c/templates/t.yaml", &text).is_err() {
        return;
    }
    let options = Options {
        limits: Limits {
            steps: 20_000,
            output: 1 << 20,
            expansion: 1 << 14,
            ..Limits::default()
        },
        ..Options::default()
    };
    let render = || {
        let json = serde_json::json!({"Values": {
            "a": 1, "s": "text \u{e9}", "l": [1, "x", null], "m": {"k": {"deep": true}}, "n": null, "f": 1e6,
        }});
        let dot = Value::from_json(&json);
        let mut engine = Engine::new(&templates, &options);
        engine.execute("c/templates/t.yaml", &dot)
    };
    let first = render();
    assert_eq!(first, render(), "{text}");
    if let Err(error) = first {
        assert!(!error.message.is_empty());
    }
}

/// A constraint on the first line, versions on the others: comparison is antisymmetric, and printing changes nothing.
pub(crate) fn helm_semver(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let constraint = semver::Constraint::parse(lines.next().unwrap_or_default());
    let versions: Vec<_> = lines
        .take(8)
        .filter_map(|line| semver::Version::parse(line).ok())
        .collect();
    for version in &versions {
        let again =
            semver::Version::parse(&version.to_string()).expect("what was read is read again");
        assert!(version.compare(&again).is_eq(), "{version}");
        if let Ok(constraint) = &constraint {
            assert_eq!(
                constraint.matches(version),
                constraint.matches(&again),
                "{version}"
            );
        }
        for other in &versions {
            assert_eq!(
                version.compare(other),
                other.compare(version).reverse(),
                "{version} {other}"
            );
        }
    }
}

/// A values file: parsed twice it gives the same, and merged over itself it does not change.
pub(crate) fn helm_values(data: &[u8]) {
    let Ok(map) = values::load(data) else {
        return;
    };
    let text = |map: &Map| format!("{map:?}");
    let again = values::load(data).expect("what was read is read again");
    assert_eq!(text(&map), text(&again));
    assert_eq!(text(&values::merge(&map, &again)), text(&map));
}

/// An uncompressed chart archive, as few mutations would survive compression.
pub(crate) fn helm_archive(data: &[u8]) {
    for bytes in [data, &compressed(data)] {
        let Ok(chart) = Chart::from_archive(bytes) else {
            continue;
        };
        assert!(!chart.name().is_empty());
        let inside =
            |name: &str| !name.starts_with('/') && !name.split('/').any(|part| part == "..");
        let files = chart.templates.iter().chain(&chart.files);
        for file in files {
            assert!(inside(&file.name), "{}", file.name);
        }
    }
}

/// A schema, and after a line `---` the values to validate.
pub(crate) fn helm_schema(data: &[u8]) {
    let mark = b"\n---\n";
    let at = data.windows(mark.len()).position(|window| window == mark);
    let (schema, values) = match at {
        Some(at) => (&data[..at], &data[at + mark.len()..]),
        None => (data, &b""[..]),
    };
    let verdict = || {
        let files = vec![
            File::new(
                "Chart.yaml",
                &b"apiVersion: v2\nname: c\nversion: 1.0.0\n"[..],
            ),
            File::new("values.schema.json", schema),
            File::new("values.yaml", values),
        ];
        let chart = Chart::from_folder(files).ok()?;
        let release = Release {
            name: "r".to_owned(),
            namespace: "n".to_owned(),
            revision: 1,
            is_upgrade: false,
            capabilities: capabilities::Capabilities::default(),
            skip_schema: false,
            template: Options::default(),
        };
        Some(render(chart, &Map::new(), &release).map(|made| made.manifests.len()))
    };
    assert_eq!(verdict(), verdict());
}

/// gzip with stored blocks.
fn compressed(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = data.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block's length");
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend(u32::try_from(data.len()).unwrap_or(0).to_le_bytes());
    out
}
