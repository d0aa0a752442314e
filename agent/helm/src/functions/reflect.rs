//! Types and kinds.

use super::equal::deep_equal;
use super::{Function, Type, bytes, pure};
use crate::fmt::{kind_name, type_name};
use crate::value::Value;

use Type::{Any, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("typeOf", &[Any], |a| Ok(Value::from(type_name(&a[0])))),
    pure("typeIs", &[S, Any], |a| {
        Ok(Value::Bool(bytes(a, 0) == type_name(&a[1]).as_bytes()))
    }),
    pure("typeIsLike", &[S, Any], |a| {
        let name = type_name(&a[1]).as_bytes();
        let target = bytes(a, 0);
        let pointer = name.strip_prefix(b"*") == Some(target);
        Ok(Value::Bool(target == name || pointer))
    }),
    pure("kindOf", &[Any], |a| Ok(Value::from(kind_name(&a[0])))),
    pure("kindIs", &[S, Any], |a| {
        Ok(Value::Bool(bytes(a, 0) == kind_name(&a[1]).as_bytes()))
    }),
    pure("deepEqual", &[Any, Any], |a| {
        Ok(Value::Bool(deep_equal(&a[0], &a[1])))
    }),
];
