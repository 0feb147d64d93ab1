//! How the counts of several streams add up.

/// What `choose` makes of two values, or the one that there is.
pub(super) fn either<T>(a: Option<T>, b: Option<T>, choose: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(choose(a, b)),
        (a, b) => a.or(b),
    }
}

/// The smaller, where 0 is none.
pub(super) fn smaller(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}
