//! What operators see: `$SYS`, presence, and why connections ended.
//!
//! [`History`] and [`Presence`] watch the broker as observers; [`publish_sys`] publishes what the server counts.
//! Nothing here decides anything.

mod config;
mod history;
mod load;
mod moment;
mod presence;
mod process;
mod sys;

pub use config::{Config, ConfigError};
pub use history::{
    Connection, Denied, Ended, Finding, History, Report, SessionRow, Volume, session_page, session_row,
};
pub use moment::Moment;
pub use presence::{Announcements, Presence};
pub use process::Process;
pub use sys::publish_sys;
