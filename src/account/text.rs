//! Text that someone else wrote, made safe for a terminal, a log and a report.
//!
//! This is the only place that says which characters are unsafe. Text loses them, or is refused for
//! them, where it is read and validated, so that whatever prints it later need not ask.

/// The longest text that is believed, in octets: a reason, or a name. A saved histogram has a bound
/// of its own.
pub const TEXT_MAX: usize = 1_024;

/// The longest text of the other side that is shown or kept, in characters.
const SPOKEN_MAX: usize = 256;

/// The same in octets: a sentence around it is still no longer than [`TEXT_MAX`].
const SPOKEN_OCTETS_MAX: usize = TEXT_MAX / 2;

/// Whether `c` can change what stands around it on a terminal or in a log: a control character (C0,
/// DEL, C1), a line or paragraph separator, or a character that sets the direction of text (Unicode
/// UAX #9).
#[must_use]
pub fn is_control(c: char) -> bool {
    c.is_control() || sets_direction(c)
}

/// The part of [`is_control`] that [`char::is_control`] leaves out.
#[must_use]
pub const fn sets_direction(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
    )
}

/// `text` without its control and direction characters.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !is_control(*c)).collect()
}

/// What the other side says, as far as it is shown and kept: [`plain`], and at most 256 characters.
#[must_use]
pub fn spoken(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !is_control(*c)).take(SPOKEN_MAX) {
        if SPOKEN_OCTETS_MAX < kept.len() + c.len_utf8() {
            break;
        }
        kept.push(c);
    }
    kept
}

/// The longest name of a device: `IFNAMSIZ` less the zero that ends it.
const DEVICE_LEN_MAX: usize = 15;

/// Whether `name` can be a device's.
#[must_use]
pub fn is_device(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && c != '/';
    (1..=DEVICE_LEN_MAX).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_other_side_says_is_short_and_writes_nothing_but_itself() {
        let hostile = "a\u{1b}[2J\nb\u{202e}c\u{2066}\u{61c}\u{200f}\u{2028}d\u{9b} \u{e9}";
        assert_eq!(spoken(hostile), "a[2Jbcd \u{e9}");
        assert_eq!(plain(hostile), "a[2Jbcd \u{e9}");
        assert_eq!(spoken(&"x".repeat(1_000)), "x".repeat(256));
        assert_eq!(spoken(&"\u{1f600}".repeat(1_000)).len(), SPOKEN_OCTETS_MAX);
    }

    #[test]
    fn letters_of_every_script_and_emoji_stay() {
        for text in ["Zürich – été", "קישור ראשי", "رابط", "主线路", "👩\u{200d}🔧", "e\u{301}"]
        {
            assert_eq!(plain(text), text);
        }
    }

    /// Any characters, the unsafe ones more often than chance would bring them.
    fn any_text() -> impl Strategy<Value = String> {
        let unsafe_ones = prop::sample::select(vec![
            '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{200f}', '\u{2029}',
            '\u{202e}', '\u{2069}', '\u{61c}',
        ]);
        let c = prop_oneof![any::<char>(), unsafe_ones];
        prop::collection::vec(c, 0..400).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_text_keeps_an_unsafe_character_and_none_loses_another(text in any_text()) {
            let kept = plain(&text);
            prop_assert!(!kept.contains(is_control));
            prop_assert_eq!(&plain(&kept), &kept);
            let safe: Vec<char> = text.chars().filter(|c| !is_control(*c)).collect();
            prop_assert_eq!(kept.chars().collect::<Vec<char>>(), safe);
            prop_assert!(kept.starts_with(&spoken(&text)));
            prop_assert!(spoken(&text).len() <= SPOKEN_OCTETS_MAX);
        }
    }
}
