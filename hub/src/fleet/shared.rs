//! A value that several states of the fleet share until one of them changes it. Keeping the last stored state beside
//! the present one then costs only the changes in between.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Dereferences to its content; copied on the first write while it is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}
