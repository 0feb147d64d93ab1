//! How the counts of several streams add up.

/// What `choose` makes of two values, or the one that there is.
pub(super) fn either<T>(a: Option<T>, b: Option<T>, choose: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(choose(a, b)),
        (a, b) => a.or(b),
    }
}

/// The sum of counts that anyone may have written, in a list of any length: no sum that is believed
/// is as high as the highest number, at which it stays.
pub(super) fn total(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}
