//! What both programs read alike.

use crate::account::is_device;
use crate::units::Malformed;
use std::str::FromStr;

/// A quantity, or why it is none; clap says of which option.
pub(super) fn parse<T: FromStr<Err = Malformed>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Malformed| error.form())
}

/// The name of a network device.
pub(super) fn parse_device(text: &str) -> Result<String, String> {
    let why = "not the name of a device: 1 to 15 characters, such as \"eth1\"";
    is_device(text).then(|| text.to_owned()).ok_or_else(|| why.to_owned())
}
