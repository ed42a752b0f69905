//! Ways in: what proves to the cloud who is asking. One file per way; secrets never print.

mod secret;
mod token;

pub use secret::Secret;
pub use token::Token;

use std::io;
use std::path::PathBuf;

/// How an account logs in.
#[derive(Clone, Debug)]
pub enum Config {
    /// A token that somebody else obtains and renews.
    Token(Secret),
}

/// Nothing could be made that proves who is asking; no request was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a secret could not be read.
    #[error("cannot read the token from {}: {error}; check that the file exists and that this process may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file of a secret is larger than any token.
    #[error("{} holds more than {limit} bytes, which is no token; name the file that holds only the token", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How much is read at the most.
        limit: u64,
    },
    /// The token is empty, or has characters that a header cannot carry.
    #[error("the token is empty or has characters that no token has; write the token alone, on one line")]
    NotAToken,
}
