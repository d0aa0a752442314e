//! Enums of words: each value is one word, in JSON, on the wire and on screens.

/// An enum whose values are words.
///
/// An `open` one comes over the wire as text: a word that only a newer hub knows is kept, and shown as it was sent. It
/// may take in the words of a `closed` one, behind a `+`. A `closed` one comes by number, with a value of its own for
/// what this version does not know, or only within an open one.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        $vis:vis open $name:ident {
            $( $(#[$of:meta])* $value:ident = $word:literal, )+
            $( + $(#[$within:meta])* $inner:ident($closed:ident), )?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        $vis enum $name {
            $( $(#[$of])* $value, )+
            $( $(#[$within])* $inner($closed), )?
            /// A value of a newer hub.
            Other(String),
        }

        impl $name {
            /// Returns the word.
            #[must_use]
            $vis fn as_str(&self) -> &str {
                match self {
                    $( Self::$value => $word, )+
                    $( Self::$inner(inner) => inner.as_str(), )?
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            /// An unknown word is kept, cut as any text is.
            fn from(word: &str) -> Self {
                match word {
                    $( $word => Self::$value, )+
                    other => {
                        $(
                            let mut all = $closed::ALL.iter();
                            if let Some(inner) = all.find(|inner| inner.as_str() == other) {
                                return Self::$inner(*inner);
                            }
                        )?
                        Self::Other($crate::text(other))
                    }
                }
            }
        }

        $crate::words::words!(shown $name, concat!($($about),*), "examples", {
            let known = [ $( $word ),+ ].into_iter();
            $( let known = known.chain($closed::ALL.iter().map(|inner| inner.as_str())); )?
            known.collect()
        });
    };
    (
        $(#[doc = $about:literal])*
        $vis:vis closed $name:ident {
            $( $(#[$of:meta])* $value:ident = $word:literal, )+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $( $(#[$of])* $value, )+
        }

        impl $name {
            /// Each of them.
            $vis const ALL: &'static [Self] = &[ $( Self::$value ),+ ];

            /// Returns the word.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$value => $word, )+
                }
            }
        }

        $crate::words::words!(shown $name, concat!($($about),*), "enum", Vec::from([ $( $word ),+ ]));
    };
    (shown $name:ident, $about:expr, $key:literal, $words:expr) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = $words;
                schemars::json_schema!({
                    "type": "string",
                    "description": $about.trim(),
                    $key: words,
                })
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    words! {
        /// How far.
        open Far {
            /// Not at all.
            Here = "here",
            /// All the way.
            ThereAndBack = "thereAndBack",
            +
            /// Not all of it.
            Partly(Way),
        }
    }

    words! {
        /// Which way.
        closed Way {
            /// There.
            There = "there",
            /// A newer side's.
            Unknown = "unknown",
        }
    }

    #[test]
    fn a_newer_hubs_word_is_kept_as_it_was_sent_and_steers_no_terminal() {
        for word in ["here", "thereAndBack", "sideways", ""] {
            assert_eq!(Far::from(word).to_string(), word);
        }
        assert_eq!(Far::from("thereAndBack"), Far::ThereAndBack);
        assert_eq!(Far::from("sideways"), Far::Other("sideways".to_owned()));
        assert!(!Far::from("a\u{1b}[2Jb").as_str().contains('\u{1b}'));
    }

    #[test]
    fn words_of_a_closed_list_are_taken_in() {
        for way in Way::ALL {
            assert_eq!(Far::from(way.as_str()), Far::Partly(*way));
            assert_eq!(Far::Partly(*way).as_str(), way.as_str());
        }
        let schema = schemars::schema_for!(Far);
        let examples = schema.get("examples").unwrap();
        let all = ["here", "thereAndBack", "there", "unknown"];
        assert_eq!(examples.as_array().unwrap(), &all);
    }

    #[test]
    fn a_word_is_padded_like_any_text() {
        assert_eq!(
            format!("{:>8}|{:<6}|", Way::There, Far::Here),
            "   there|here  |"
        );
        assert_eq!(Way::Unknown.as_str(), "unknown");
    }
}
