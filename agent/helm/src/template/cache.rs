//! Parsed files, kept between renders: parsing is most of the work of a second render.

use std::any::Any;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Error, Functions, Parsed};

/// Text of all files that are kept, bytes; the parsed form takes several times as much.
const MAX_BYTES: usize = 8 << 20;

/// Highest number of schemas that are kept, and the longest text of one, bytes.
const MAX_SCHEMAS: usize = 32;
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// A cache of parsed files, shared by its copies. It never affects results: a cached file equals what parsing would
/// return.
#[derive(Clone, Debug, Default)]
pub struct Cache(Arc<Mutex<CacheContents>>);

#[derive(Debug, Default)]
struct CacheContents {
    files: HashMap<u64, File>,
    /// Keys in order of insertion; the oldest one is dropped first.
    order: VecDeque<u64>,
    bytes: usize,
    /// The newest last.
    schemas: VecDeque<Schema>,
}

/// A schema's text with its compiled form, whose type only the `schema` module knows.
#[derive(Debug)]
struct Schema {
    text: Box<[u8]>,
    compiled: Arc<dyn Any + Send + Sync>,
}

#[derive(Debug)]
struct File {
    /// Whose names are looked up while parsing.
    functions: &'static Functions,
    name: Box<str>,
    text: Box<str>,
    parsed: Parsed,
}

impl Cache {
    /// Parses a file under this name, unless that was done before.
    ///
    /// # Errors
    ///
    /// As [`Parsed::new`].
    pub fn parse(
        &self,
        functions: &'static Functions,
        name: &str,
        text: &str,
    ) -> Result<Parsed, Error> {
        let mut hasher = DefaultHasher::new();
        (name, text).hash(&mut hasher);
        let key = hasher.finish();
        let known = |file: &File| {
            std::ptr::eq(file.functions, functions) && *file.name == *name && *file.text == *text
        };
        if let Some(file) = self.0.lock().files.get(&key).filter(|file| known(file)) {
            return Ok(file.parsed.clone());
        }
        let parsed = Parsed::new(functions, name, text)?;
        self.0.lock().keep(
            key,
            File {
                functions,
                name: name.into(),
                text: text.into(),
                parsed: parsed.clone(),
            },
        );
        Ok(parsed)
    }

    /// Returns the compiled form of a schema's text, from the cache where it has it.
    ///
    /// # Errors
    ///
    /// As `compile`; errors are not kept.
    pub(crate) fn schema<T: Send + Sync + 'static, E>(
        &self,
        text: &[u8],
        compile: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let known = {
            let kept = self.0.lock();
            let mut known = kept.schemas.iter();
            known
                .find(|schema| *schema.text == *text)
                .map(|schema| Arc::clone(&schema.compiled))
        };
        if let Some(known) = known.and_then(|it| it.downcast().ok()) {
            return Ok(known);
        }
        let compiled = Arc::new(compile()?);
        if text.len() <= MAX_SCHEMA_BYTES {
            let mut kept = self.0.lock();
            kept.schemas.push_back(Schema {
                text: text.into(),
                compiled: Arc::clone(&compiled) as Arc<_>,
            });
            if kept.schemas.len() > MAX_SCHEMAS {
                kept.schemas.pop_front();
            }
        }
        Ok(compiled)
    }
}

impl File {
    fn bytes(&self) -> usize {
        self.name.len() + self.text.len()
    }
}

impl CacheContents {
    fn keep(&mut self, key: u64, file: File) {
        let bytes = file.bytes();
        if bytes > MAX_BYTES / 4 {
            return;
        }
        // If two files have the same key, the first one stays: collisions are too rare for more effort.
        let Entry::Vacant(place) = self.files.entry(key) else {
            return;
        };
        place.insert(file);
        self.order.push_back(key);
        self.bytes += bytes;
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(file) = self.files.remove(&oldest) {
                self.bytes -= file.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(cache: &Cache, name: &str, text: &str) -> Result<Parsed, Error> {
        cache.parse(crate::functions::all(), name, text)
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_same() {
        let cache = Cache::default();
        let first = parse(&cache, "c/templates/a.yaml", "{{ .a }}").unwrap();
        let again = parse(&cache, "c/templates/a.yaml", "{{ .a }}").unwrap();
        assert!(Arc::ptr_eq(&first.trees, &again.trees));
        let other = parse(&cache, "c/templates/b.yaml", "{{ .a }}").unwrap();
        assert!(
            !Arc::ptr_eq(&first.trees, &other.trees),
            "places have names"
        );
        assert!(parse(&cache, "c/templates/a.yaml", "{{ .a").is_err());
        let large = "x".repeat(1 << 20);
        for number in 0..20 {
            let text = format!("{number}{large}");
            parse(&cache, "c/templates/large.yaml", &text).unwrap();
        }
        let kept = cache.0.lock();
        assert!(kept.bytes <= MAX_BYTES, "{}", kept.bytes);
        assert_eq!(kept.files.len(), kept.order.len());
        let sum: usize = kept.files.values().map(File::bytes).sum();
        assert_eq!(sum, kept.bytes);
    }
}
