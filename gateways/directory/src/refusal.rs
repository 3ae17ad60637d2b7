use crate::LinkError;

/// Why the directory does not do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter is missing, is there twice, or has no valid value.
    #[error("{0}")]
    Parameter(&'static str),
    /// The links cannot be read.
    #[error("{0}")]
    Links(#[from] LinkError),
    /// The link with this number, from 1, cannot be taken.
    #[error("link {0} {1}")]
    Link(usize, &'static str),
    /// There is no such registration.
    #[error("there is no such registration; register again")]
    NotFound,
    /// Somebody else registered the endpoint first [RFC9176 7.5].
    #[error("the endpoint is registered by another client")]
    Taken,
    /// The registration is larger than one may be.
    #[error("the registration is larger than the limit")]
    TooLarge,
    /// The client has as many registrations as it may.
    #[error("the client has as many registrations as it may")]
    TooMany,
    /// The directory is full.
    #[error("the directory is full")]
    Full,
    /// The result is larger than an answer may be.
    #[error("the result is larger than an answer may be; ask for it in pages with count and page")]
    ResultTooLarge,
}
