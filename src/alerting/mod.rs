//! Alerts: from the states of links to notices for people and for other programs.
//!
//! States are grouped to problems: a far host that is down is one, whatever number of links lead to
//! it, and so are a circuit, and whatever several links share. A problem that lasts is an alert; it
//! is reported when it begins, when it grows worse, now and then while it lasts, and when it is
//! over. What comes and goes is reported as one alert that is flapping.
//!
//! Pure: who is sent a notice, and how, is for [`crate::commands`].

mod alert;
mod forms;
mod listing;
mod outbox;
mod problem;
mod record;
mod register;
mod settings;
mod words;

pub use alert::{Acknowledged, Alert, Notice};
pub use forms::{alertmanager, heartbeat, signature, webhook};
pub use listing::{KeptAlert, KeptAlerts};
pub use outbox::{Letter, Outbox, Waiting};
pub use problem::{Placed, Problem, problems};
pub use register::{Pace, Register};
pub use settings::{Receiver, Secret, Settings};
pub use words::{Key, Occasion, Severity};
