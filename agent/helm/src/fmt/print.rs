//! Go's default formats, and what a verb makes of each kind of value.

use super::flags::{Case, Formatter, Signedness};
use super::types::type_name;
use crate::value::{DEEPEST, ListKind, MapKind, Value, bytes_of};

/// Bytes of one text after which lists and maps are cut, since they can multiply without end. No less than a render may
/// write, which is refused there.
const LONGEST: usize = 64 << 20;

/// Go's type of the slot that holds a value, which determines how `%#v` shows nil.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// `interface {}`
    Interface,
    /// The value's own type.
    Concrete,
}

/// `fmt.Sprint`: a space between two operands of which none is a string.
#[must_use]
pub fn sprint(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    append_all(&mut out, values);
    out
}

/// Like [`sprint`], appended to `out`.
pub fn append_all(out: &mut Vec<u8>, values: &[Value]) {
    let mut string_before = false;
    for (index, value) in values.iter().enumerate() {
        let string = matches!(value, Value::Str(_));
        if index > 0 && !string && !string_before {
            out.push(b' ');
        }
        append(out, value);
        string_before = string;
    }
}

/// `fmt.Sprintln`.
#[must_use]
pub fn sprintln(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        append(&mut out, value);
    }
    out.push(b'\n');
    out
}

/// Appends `%v` of a value.
pub fn append(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        other => {
            let mut formatter = Formatter {
                start: out.len(),
                out: std::mem::take(out),
                ..Formatter::default()
            };
            formatter.value(other, 'v');
            *out = formatter.out;
        }
    }
}

impl Formatter {
    /// One operand under one verb.
    pub(super) fn value(&mut self, value: &Value, verb: char) {
        match (verb, value) {
            ('T', _) => self.string(type_name(value).as_bytes()),
            (_, Value::Nil) => match verb {
                'v' => self.pad(b"<nil>"),
                _ => self.bad_verb(value, verb),
            },
            ('p', _) => self.bad_verb(value, verb),
            (_, Value::Bool(value)) if matches!(verb, 't' | 'v') => self.boolean(*value),
            (_, Value::Int(number, _)) => {
                self.number(value, number.cast_unsigned(), Signedness::Signed, verb);
            }
            (_, Value::Uint(number, _)) => {
                self.number(value, *number, Signedness::Unsigned, verb);
            }
            (_, Value::Float(number)) => self.real(value, *number, verb),
            (_, Value::Str(text)) => self.characters(value, text.as_bytes(), verb),
            (_, Value::List(list)) if list.kind() == ListKind::Bytes => self.bytes(value, verb),
            (_, Value::List(list)) => {
                self.sequence(type_name(value), &list.items(), verb);
            }
            (_, Value::Map(map)) => {
                if self.sharp_v {
                    self.text(type_name(value));
                    self.text("{");
                } else {
                    self.text("map[");
                }
                let slot = match map.kind() {
                    MapKind::Str => Slot::Concrete,
                    MapKind::Any | MapKind::Values => Slot::Interface,
                };
                for (index, (key, element)) in map.entries().iter().enumerate() {
                    if index > 0 {
                        self.text(if self.sharp_v { ", " } else { " " });
                    }
                    self.value(&Value::Str(key.clone()), verb);
                    self.text(":");
                    self.element(element, verb, slot);
                }
                self.text(if self.sharp_v { "}" } else { "]" });
            }
            (_, Value::Host(host)) => {
                if let ('v' | 's' | 'x' | 'X' | 'q', text) = (verb, host.display()) {
                    let verb = if self.sharp_v { 's' } else { verb };
                    self.characters(value, text.as_bytes(), verb);
                } else {
                    self.bad_verb(value, verb);
                }
            }
            _ => self.bad_verb(value, verb),
        }
    }

    /// Prints a value inside another one, in a slot of this type.
    fn element(&mut self, value: &Value, verb: char, slot: Slot) {
        match value {
            Value::Nil if self.sharp_v && slot == Slot::Interface => {
                self.text("interface {}(nil)");
            }
            Value::Nil => self.text("<nil>"),
            Value::Map(_) | Value::List(_) if self.depth >= DEEPEST => self.text("..."),
            // A value that doubles with each level would soon fill all memory.
            Value::Map(_) | Value::List(_) if self.out.len() - self.start > LONGEST => {
                self.text("...");
            }
            other => {
                self.depth += 1;
                self.value(other, verb);
                self.depth -= 1;
            }
        }
    }

    fn sequence(&mut self, name: &str, items: &[Value], verb: char) {
        if self.sharp_v {
            self.text(name);
            self.text("{");
        } else {
            self.text("[");
        }
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(if self.sharp_v { ", " } else { " " });
            }
            self.element(item, verb, Slot::Interface);
        }
        self.text(if self.sharp_v { "}" } else { "]" });
    }

    fn bytes(&mut self, value: &Value, verb: char) {
        let Value::List(list) = value else { return };
        let items = list.items();
        let bytes = bytes_of(&items);
        match verb {
            's' => self.string(&bytes),
            'q' => self.quoted(&bytes),
            'x' => self.hexadecimal(&bytes, Case::Lower),
            'X' => self.hexadecimal(&bytes, Case::Upper),
            'v' if self.sharp_v => {
                let name = type_name(value).replace("uint8", "byte");
                self.sequence(&name, &items, 'v');
            }
            _ => self.sequence(type_name(value), &items, verb),
        }
    }

    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) {
        self.text("%!");
        self.letter(verb);
        self.text("(");
        if value.is_nil() {
            self.text("<nil>");
        } else {
            self.text(type_name(value));
            self.text("=");
            self.value(value, 'v');
        }
        self.text(")");
    }

    fn number(&mut self, value: &Value, number: u64, signedness: Signedness, verb: char) {
        match verb {
            'v' if self.sharp_v && signedness == Signedness::Unsigned => {
                let sharp = std::mem::replace(&mut self.sharp, true);
                self.integer(number, 16, signedness, verb, Case::Lower);
                self.sharp = sharp;
            }
            'v' | 'd' => self.integer(number, 10, signedness, verb, Case::Lower),
            'b' => self.integer(number, 2, signedness, verb, Case::Lower),
            'o' | 'O' => self.integer(number, 8, signedness, verb, Case::Lower),
            'x' => self.integer(number, 16, signedness, verb, Case::Lower),
            'X' => self.integer(number, 16, signedness, verb, Case::Upper),
            'c' => self.character(number),
            'q' => self.quoted_character(number),
            'U' => self.unicode(number),
            _ => self.bad_verb(value, verb),
        }
    }

    fn real(&mut self, value: &Value, number: f64, verb: char) {
        match verb {
            'v' => self.float(number, 'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => self.float(number, verb, None),
            'f' | 'e' | 'E' => self.float(number, verb, Some(6)),
            'F' => self.float(number, 'f', Some(6)),
            _ => self.bad_verb(value, verb),
        }
    }

    fn characters(&mut self, value: &Value, text: &[u8], verb: char) {
        match verb {
            'v' if self.sharp_v => self.quoted(text),
            'v' | 's' => self.string(text),
            'x' => self.hexadecimal(text, Case::Lower),
            'X' => self.hexadecimal(text, Case::Upper),
            'q' => self.quoted(text),
            _ => self.bad_verb(value, verb),
        }
    }
}
