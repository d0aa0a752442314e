//! Writes all mutants of a file into it, each behind a switch.
//!
//! `a == b` becomes `(if on(17) { a != b } else { a == b })`. Two comments with the mutant's number enclose its
//! branch, so that a compiler error can be attributed to it.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::list::{Genre, Mutant, Position};

/// Mutants by number, as used by the switch; 0 is none.
pub type NumberedMutants<'a> = Vec<(u32, &'a Mutant)>;

/// A file with switches.
pub struct SwitchedFile {
    pub text: String,
    /// Mutants that cannot be put behind a switch.
    pub apart: Vec<u32>,
    /// Mutants that cannot compile.
    pub unviable: Vec<u32>,
}

/// Writes mutants into a file.
pub fn switch(text: &str, mutants: &NumberedMutants<'_>) -> Result<SwitchedFile, syn::Error> {
    let mut sites = Sites {
        mutants: BTreeMap::new(),
        found: Vec::new(),
        unviable: Vec::new(),
        apart: Vec::new(),
    };
    let mut apart = Vec::new();
    for (number, mutant) in mutants {
        // The function returns another iterator type than this replacement, so no single branch could have both.
        if mutant.replacement.starts_with("::std::iter::") {
            apart.push(*number);
            continue;
        }
        let key = (mutant.span.start, rank(mutant.genre));
        let at = sites.mutants.entry(key).or_default();
        at.push((*number, mutant.replacement.clone()));
    }
    sites.visit_file(&syn::parse_file(text)?);
    // An enclosing site comes before the sites within it.
    sites
        .found
        .sort_by_key(|site| (site.range.start, std::cmp::Reverse(site.range.end)));
    let missing = sites.mutants.into_values().flatten();
    apart.extend(missing.map(|(number, _)| number));
    apart.append(&mut sites.apart);
    let writer = Writer {
        text,
        sites: sites.found,
    };
    Ok(SwitchedFile {
        text: writer.write(0..text.len(), 0),
        apart,
        unviable: sites.unviable,
    })
}

/// The condition of a mutant's branch.
fn on(number: u32) -> String {
    format!("crate::mutant_is_on({number})")
}

fn open(number: u32) -> String {
    format!("/*<{number}*/")
}

fn close(number: u32) -> String {
    format!("/*{number}>*/")
}

/// The position of each mutant's branch in a file with switches.
pub fn branches(text: &str) -> Vec<(Range<usize>, u32)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("/*<").map(|at| rest + at) {
        rest = at + 3;
        let digits = text[rest..].split("*/").next().unwrap_or_default();
        let Ok(number) = digits.parse() else { continue };
        let end = close(number);
        if let Some(length) = text[at..].find(&end) {
            found.push((at..at + length + end.len(), number));
        }
    }
    found
}

type Alternatives = Vec<(u32, String)>;

enum Kind {
    /// The body of a function, without its braces.
    Body(Alternatives),
    Binary {
        left: Range<usize>,
        operator: String,
        right: Range<usize>,
        others: Alternatives,
    },
    Unary {
        operator: String,
        operand: Range<usize>,
        number: u32,
    },
    /// From the end of an arm's pattern to its arrow.
    Guard {
        guard: Option<Range<usize>>,
        is_let: bool,
        deleted: Option<u32>,
        others: Alternatives,
    },
    Fields(Vec<(u32, Range<usize>)>),
}

struct Site {
    range: Range<usize>,
    kind: Kind,
}

struct Sites {
    mutants: BTreeMap<(Position, u8), Alternatives>,
    found: Vec<Site>,
    unviable: Vec<u32>,
    apart: Vec<u32>,
}

/// As the key of a map.
fn rank(genre: Genre) -> u8 {
    genre as u8
}

impl Sites {
    fn take(&mut self, span: proc_macro2::Span, genre: Genre) -> Alternatives {
        let key = (Position::from(span.start()), rank(genre));
        self.mutants.remove(&key).unwrap_or_default()
    }

    fn body(&mut self, block: &syn::Block) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else {
            return;
        };
        let others = self.take(first.span(), Genre::FnValue);
        if !others.is_empty() {
            self.found.push(Site {
                range: first.span().byte_range().start..last.span().byte_range().end,
                kind: Kind::Body(others),
            });
        }
    }
}

/// Whether a chain of conditions contains `let`.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Sites {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.body(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.body(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let others = self.take(binary.op.span(), Genre::BinaryOperator);
        if has_let(&binary.left) || has_let(&binary.right) {
            // A chain with `let` allows no operator but `&&`.
            self.unviable
                .extend(others.iter().map(|(number, _)| *number));
        } else if !others.is_empty() {
            self.found.push(Site {
                range: binary.span().byte_range(),
                kind: Kind::Binary {
                    left: binary.left.span().byte_range(),
                    operator: binary.op.span().source_text().unwrap_or_default(),
                    right: binary.right.span().byte_range(),
                    others,
                },
            });
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        for (number, _) in self.take(unary.op.span(), Genre::UnaryOperator) {
            self.found.push(Site {
                range: unary.span().byte_range(),
                kind: Kind::Unary {
                    operator: unary.op.span().source_text().unwrap_or_default(),
                    operand: unary.expr.span().byte_range(),
                    number,
                },
            });
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, found: &'ast syn::ExprMatch) {
        // An arm is deleted with a guard that is never true. The compiler does not count guarded arms as exhaustive.
        let is_rest = |arm: &syn::Arm| matches!(arm.pat, syn::Pat::Wild(_)) && arm.guard.is_none();
        if !found.arms.iter().any(is_rest) {
            for arm in &found.arms {
                let deleted = self.take(arm.span(), Genre::MatchArm);
                self.apart.extend(deleted.iter().map(|(number, _)| *number));
            }
        }
        visit::visit_expr_match(self, found);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let deleted = self.take(arm.span(), Genre::MatchArm);
        let guard = arm.guard.as_ref().map(|(_, guard)| guard);
        let others = guard.map_or_else(Vec::new, |guard| {
            self.take(guard.span(), Genre::MatchArmGuard)
        });
        if !deleted.is_empty() || !others.is_empty() {
            let end = arm.fat_arrow_token.span().byte_range().start;
            self.found.push(Site {
                range: arm.pat.span().byte_range().end..end,
                kind: Kind::Guard {
                    guard: guard.map(|guard| guard.span().byte_range()),
                    is_let: guard.is_some_and(|guard| has_let(guard)),
                    deleted: deleted.first().map(|(number, _)| *number),
                    others,
                },
            });
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        let mut fields = Vec::new();
        for pair in made.fields.pairs() {
            let field = pair.value().span();
            for (number, _) in self.take(field, Genre::StructField) {
                let end = pair.punct().map_or(field, |comma| comma.span());
                fields.push((number, field.byte_range().start..end.byte_range().end));
            }
        }
        if !fields.is_empty() {
            self.found.push(Site {
                range: made.span().byte_range(),
                kind: Kind::Fields(fields),
            });
        }
        visit::visit_expr_struct(self, made);
    }
}

struct Writer<'a> {
    text: &'a str,
    sites: Vec<Site>,
}

impl Writer<'_> {
    /// Writes a part of the file, with the sites from `next` on that are within it.
    fn write(&self, part: Range<usize>, next: usize) -> String {
        let mut written = String::new();
        let mut at = part.start;
        for (index, site) in self.sites.iter().enumerate().skip(next) {
            if site.range.start < at || site.range.end > part.end {
                continue;
            }
            written.push_str(&self.text[at..site.range.start]);
            written.push_str(&self.site(index, site));
            at = site.range.end;
        }
        written.push_str(&self.text[at..part.end]);
        written
    }

    fn site(&self, index: usize, site: &Site) -> String {
        let within = |part: &Range<usize>| self.write(part.clone(), index + 1);
        match &site.kind {
            Kind::Body(others) => {
                let mut body = String::new();
                for (number, value) in others {
                    let (open, on, close) = (open(*number), on(*number), close(*number));
                    body.push_str(&format!("{open}if {on} {{ return {value}; }}{close} "));
                }
                body + &within(&site.range)
            }
            Kind::Binary {
                left,
                operator,
                right,
                others,
            } => {
                let (left, right) = (within(left), within(right));
                // The left side of a chain is evaluated first with either operator, and is long: it is written once.
                let is_chain = matches!(operator.as_str(), "&&" | "||");
                let (before, left) = match is_chain {
                    true => (format!("let __left: bool = {left}; "), "__left".to_owned()),
                    false => (String::new(), format!("({left})")),
                };
                let branches: String = others
                    .iter()
                    .map(|(number, other)| {
                        let (open, on, close) = (open(*number), on(*number), close(*number));
                        format!("{open}if {on} {{ {left} {other} ({right}) }}{close} else ")
                    })
                    .collect();
                format!("({{ {before}{branches}{{ {left} {operator} ({right}) }} }})")
            }
            Kind::Unary {
                operator,
                operand,
                number,
            } => {
                let (open, on, close) = (open(*number), on(*number), close(*number));
                let operand = within(operand);
                format!("({open}if {on} {{ ({operand}) }}{close} else {{ {operator}({operand}) }})")
            }
            Kind::Guard {
                guard,
                is_let,
                deleted,
                others,
            } => {
                let mut condition = match guard {
                    Some(guard) if *is_let => within(guard),
                    Some(guard) => format!("({})", within(guard)),
                    None => "true".to_owned(),
                };
                for (number, other) in others {
                    let (open, on, close) = (open(*number), on(*number), close(*number));
                    condition = match other.as_str() {
                        "true" => format!("({open}{on}{close} || {condition})"),
                        _ => format!("{open}!{on}{close} && {condition}"),
                    };
                }
                if let Some(number) = deleted {
                    let (open, on, close) = (open(*number), on(*number), close(*number));
                    condition = format!("{open}!{on}{close} && {condition}");
                }
                format!(" if {condition} ")
            }
            Kind::Fields(fields) => {
                let branches: String = fields
                    .iter()
                    .map(|(number, field)| {
                        let (open, on, close) = (open(*number), on(*number), close(*number));
                        let before = &self.text[site.range.start..field.start];
                        let after = &self.text[field.end..site.range.end];
                        format!("{open}if {on} {{ {before}{after} }}{close} else ")
                    })
                    .collect();
                format!("({branches}{{ {} }})", within(&site.range))
            }
        }
    }
}
