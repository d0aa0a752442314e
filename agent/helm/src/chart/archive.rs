//! `.tgz`: gzip and tar, within Helm's own limits.

use std::io::Read as _;

use super::{File, LoadError};

/// Helm's limit for one file, in a folder or an archive.
pub(super) const MAX_FILE: usize = 5 << 20;

/// Helm's limit for all files of a chart.
const MAX_CHART: usize = 100 << 20;
/// Entries of an archive; folders and links count.
const MAX_ENTRIES: usize = 50_000;
const BLOCK: usize = 512;

/// The files of an archive, with the chart's own folder taken off their paths.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<File>, LoadError> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Err("gzip: invalid header".into());
    }
    let decoder = flate2::read::MultiGzDecoder::new(bytes);
    // The unpacked size includes a header for each file.
    let limit = MAX_CHART + MAX_ENTRIES * 2 * BLOCK;
    let mut tar = Vec::new();
    let size = decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut tar)
        .map_err(|error| format!("gzip: {error}"))?;
    if size > limit {
        return Err(too_large());
    }
    let mut files = Vec::new();
    let mut total = 0;
    let mut entries = Entries::new(&tar);
    while let Some(entry) = entries.next()? {
        if entries.count > MAX_ENTRIES {
            return Err(format!("chart archive has more than {MAX_ENTRIES} entries").into());
        }
        // Skips folders only: to Helm, links and devices are files without content.
        if entry.kind == b'5' || entry.name.ends_with('/') {
            continue;
        }
        let name = inside(&entry.name)?;
        let data = if matches!(entry.kind, b'0' | 0 | b'7') {
            entry.data
        } else {
            &[]
        };
        if data.len() > MAX_FILE {
            return Err(format!(
                "decompressed chart file {:?} is larger than the maximum file size {MAX_FILE}",
                entry.name
            )
            .into());
        }
        total += data.len();
        if total > MAX_CHART {
            return Err(too_large());
        }
        files.push(File::new(name, data));
    }
    if files.is_empty() {
        return Err("no files in chart archive".into());
    }
    Ok(files)
}

fn too_large() -> LoadError {
    format!("decompressed chart is larger than the maximum size {MAX_CHART}").into()
}

/// Removes the first part of a path, and refuses a path that leaves the chart.
fn inside(path: &str) -> Result<String, LoadError> {
    let path = if path.contains('\\') {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    };
    let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
    if rest.starts_with('/') {
        return Err("chart illegally contains absolute paths".into());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err("chart illegally references parent directory".into());
                }
            }
            part => parts.push(part),
        }
    }
    if first == "Chart.yaml" {
        return Err("chart yaml not in base directory".into());
    }
    if parts.is_empty() {
        return Err(format!(
            "chart illegally contains content outside the base directory: {path:?}"
        )
        .into());
    }
    if parts[0].starts_with("..") {
        return Err("chart illegally references parent directory".into());
    }
    let drive = parts.len() > 1
        && matches!(parts[0].as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic());
    if drive {
        return Err("chart contains illegally named files".into());
    }
    Ok(parts.join("/"))
}

struct Entry<'a> {
    name: String,
    kind: u8,
    data: &'a [u8],
}

struct Entries<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Entries<'a> {
    fn new(tar: &'a [u8]) -> Self {
        Self {
            rest: tar,
            count: 0,
        }
    }

    /// The next file, folder or link, with what PAX and GNU headers say about it.
    fn next(&mut self) -> Result<Option<Entry<'a>>, LoadError> {
        let mut long_name: Option<String> = None;
        let mut long_size: Option<usize> = None;
        loop {
            let Some((header, rest)) = self.rest.split_first_chunk::<BLOCK>() else {
                return Ok(None);
            };
            if header.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            self.count += 1;
            let broken = || LoadError::from("archive/tar: invalid tar header");
            if !checksum_fits(header) {
                return Err(broken());
            }
            let kind = header[156];
            let holds_data = !matches!(kind, b'1'..=b'6');
            let size = match long_size.take() {
                Some(size) if !matches!(kind, b'x' | b'g' | b'L' | b'K') => size,
                _ => number(&header[124..136]).ok_or_else(broken)?,
            };
            let size = if holds_data { size } else { 0 };
            let data = rest.get(..size).ok_or("unexpected EOF")?;
            let padded = size.div_ceil(BLOCK) * BLOCK;
            self.rest = rest.get(padded..).unwrap_or_default();
            match kind {
                b'x' => {
                    for (key, value) in pax(data) {
                        match key {
                            "path" => long_name = Some(value.to_owned()),
                            "size" => long_size = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                b'g' | b'K' => {}
                b'L' => long_name = Some(text(data)),
                _ => {
                    let name = long_name.take().unwrap_or_else(|| {
                        let name = text(&header[..100]);
                        let prefix = text(&header[345..500]);
                        if &header[257..262] == b"ustar" && header[262] == 0 && !prefix.is_empty() {
                            format!("{prefix}/{name}")
                        } else {
                            name
                        }
                    });
                    return Ok(Some(Entry { name, kind, data }));
                }
            }
        }
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

/// Reads an octal number, or GNU's binary form of larger numbers.
fn number(field: &[u8]) -> Option<usize> {
    if field.first()? & 0x80 != 0 {
        return field[1..]
            .iter()
            .try_fold(usize::from(field[0] & 0x7F), |value, byte| {
                value.checked_mul(256)?.checked_add(usize::from(*byte))
            });
    }
    let text = text(field);
    let text = text.trim();
    if text.is_empty() {
        return Some(0);
    }
    usize::from_str_radix(text, 8).ok()
}

fn checksum_fits(header: &[u8; BLOCK]) -> bool {
    let sum: usize = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            usize::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    number(&header[148..156]) == Some(sum)
}

/// Reads the records of a PAX header: `length key=value\n`, repeated.
fn pax(mut data: &[u8]) -> Vec<(&str, &str)> {
    let mut records = Vec::new();
    while let Some(space) = data.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&data[..space])
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| data.get(space + 1..length)) else {
            break;
        };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let pair = std::str::from_utf8(record)
            .ok()
            .and_then(|text| text.split_once('='));
        records.extend(pair);
        data = &data[length.unwrap_or(data.len())..];
    }
    records
}
