use std::cell::RefCell;
use std::rc::Rc;

use super::{Value, is_container, release};

/// The bytes that a list of [`ListKind::Bytes`] holds.
pub(crate) fn bytes_of(items: &[Value]) -> Vec<u8> {
    let byte = |item: &Value| match item {
        Value::Uint(byte, _) => u8::try_from(*byte).unwrap_or(0),
        _ => 0,
    };
    items.iter().map(byte).collect()
}

/// A slice's Go type, which `typeOf`, `%T` and `%#v` print and some functions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `[]interface {}`
    Any,
    /// `[]string`
    Str,
    /// `[]int`
    Int,
    /// `[]uint8`; elements are [`Value::Uint`]
    Bytes,
    /// `[][]interface {}`, of `chunk`
    Lists,
    /// `[]map[string]interface {}`
    Maps,
}

struct Inner {
    kind: ListKind,
    items: RefCell<Rc<[Value]>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let nested = self.items.get_mut().iter().any(is_container);
        if nested {
            release(own(&mut self.items).into_iter());
        }
    }
}

/// Takes the elements if this is their only holder.
fn own(items: &mut RefCell<Rc<[Value]>>) -> Vec<Value> {
    match Rc::get_mut(items.get_mut()) {
        Some(items) => items.iter_mut().map(std::mem::take).collect(),
        None => Vec::new(),
    }
}

/// A shared slice. Elements never change under a holder of [`List::items`]; the one thing that changes a
/// list in place is Go's `sortAlpha` of a `[]string`, which other holders of the list then see.
#[derive(Clone)]
pub struct List(Rc<Inner>);

impl List {
    /// A new list.
    pub fn new(kind: ListKind, items: impl Into<Rc<[Value]>>) -> Self {
        Self(Rc::new(Inner {
            kind,
            items: RefCell::new(items.into()),
        }))
    }

    /// Its Go type.
    #[must_use]
    pub fn kind(&self) -> ListKind {
        self.0.kind
    }

    /// The elements as they are now.
    #[must_use]
    pub fn items(&self) -> Rc<[Value]> {
        self.0.items.borrow().clone()
    }

    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.items.borrow().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an index from 0, as it is now; none: the list is shorter.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value> {
        self.0.items.borrow().get(index).cloned()
    }

    /// Replaces the elements, for all holders of this list.
    pub(crate) fn replace(&self, items: impl Into<Rc<[Value]>>) {
        *self.0.items.borrow_mut() = items.into();
    }

    /// Takes the elements if this is their only holder.
    pub(super) fn take_own(&mut self) -> Vec<Value> {
        Rc::get_mut(&mut self.0).map_or_else(Vec::new, |inner| own(&mut inner.items))
    }

    /// A number that tells this list from every other that is alive.
    #[must_use]
    pub fn identity(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }

    /// Whether both are the same list, not only equal ones.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.items().iter()).finish()
    }
}
