use std::fmt;

/// The code of a message: class and detail, `0x45` for 2.05 [RFC7252 12.1].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

#[expect(missing_docs, reason = "the names are those of the registry")]
impl Code {
    pub const EMPTY: Self = Self(0x00);
    pub const GET: Self = Self(0x01);
    pub const POST: Self = Self(0x02);
    pub const PUT: Self = Self(0x03);
    pub const DELETE: Self = Self(0x04);
    pub const FETCH: Self = Self(0x05);
    pub const PATCH: Self = Self(0x06);
    pub const IPATCH: Self = Self(0x07);
    pub const CREATED: Self = Self::new(2, 1);
    pub const DELETED: Self = Self::new(2, 2);
    pub const VALID: Self = Self::new(2, 3);
    pub const CHANGED: Self = Self::new(2, 4);
    pub const CONTENT: Self = Self::new(2, 5);
    pub const CONTINUE: Self = Self::new(2, 31);
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    pub const BAD_OPTION: Self = Self::new(4, 2);
    pub const FORBIDDEN: Self = Self::new(4, 3);
    pub const NOT_FOUND: Self = Self::new(4, 4);
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    pub const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::new(4, 8);
    pub const CONFLICT: Self = Self::new(4, 9);
    pub const PRECONDITION_FAILED: Self = Self::new(4, 12);
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::new(4, 13);
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::new(4, 15);
    pub const UNPROCESSABLE_ENTITY: Self = Self::new(4, 22);
    pub const TOO_MANY_REQUESTS: Self = Self::new(4, 29);
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(5, 0);
    pub const NOT_IMPLEMENTED: Self = Self::new(5, 1);
    pub const BAD_GATEWAY: Self = Self::new(5, 2);
    pub const SERVICE_UNAVAILABLE: Self = Self::new(5, 3);
    pub const GATEWAY_TIMEOUT: Self = Self::new(5, 4);
    pub const PROXYING_NOT_SUPPORTED: Self = Self::new(5, 5);
    pub const HOP_LIMIT_REACHED: Self = Self::new(5, 8);
}

impl Code {
    /// The code written `class.detail`.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail & 0x1F)
    }

    /// 0 for requests and the empty message; 2, 4 and 5 for responses.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// What stands behind the dot.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1F
    }

    /// Whether this is a method.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// Whether this is an answer, good or bad.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Whether this is an answer of class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_class_and_detail() {
        assert_eq!((Code::CONTENT.0, Code::CONTENT.to_string().as_str()), (0x45, "2.05"));
        assert_eq!(Code::REQUEST_ENTITY_TOO_LARGE.to_string(), "4.13");
        assert!(Code::GET.is_request() && !Code::EMPTY.is_request() && !Code(0xE1).is_response());
    }
}
