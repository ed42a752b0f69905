//! What a listing is about: one job and one object type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest id of the cloud that is accepted, in bytes. DRS's own have 36.
const MAX_ID_BYTES: usize = 64;

/// Whether a text may be an id of the cloud: 1 to 64 ASCII letters, digits, `-` or `_`. Ids go into the path of a request, so
/// nothing that could change the path is let in.
pub(crate) fn is_cloud_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// The id of a DRS job: 1 to 64 ASCII letters, digits, `-` or `_`. It need not be hexadecimal: the specification's own
/// example, `163b98e8-6088-46c3-8b86-c18fea6jb502`, is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Arc<str>);

impl JobId {
    /// The id as DRS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no job id.
#[derive(Debug, thiserror::Error)]
#[error("expected a job id: 1 to {MAX_ID_BYTES} letters, digits, `-` or `_`")]
pub struct InvalidJobId;

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        if is_cloud_id(text) { Ok(Self(text.into())) } else { Err(InvalidJobId) }
    }
}

/// What kind of database object a listing is about: the nine values of `{type}` in the specification of `progress-data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectType {
    /// Tables.
    Table,
    /// Scheduled events.
    Event,
    /// Table structures, which are migrated before the rows.
    TableStructure,
    /// Stored procedures.
    Procedure,
    /// Views.
    View,
    /// Functions.
    Function,
    /// Databases.
    Database,
    /// Triggers.
    Trigger,
    /// Indexes of tables. DRS spells it `table_indexs`.
    TableIndexes,
}

impl ObjectType {
    /// Every type, in the order of the specification.
    pub const ALL: [Self; 9] = [
        Self::Table,
        Self::Event,
        Self::TableStructure,
        Self::Procedure,
        Self::View,
        Self::Function,
        Self::Database,
        Self::Trigger,
        Self::TableIndexes,
    ];

    /// The type as DRS spells it, which is also the value of the label `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Event => "event",
            Self::TableStructure => "table_structure",
            Self::Procedure => "procedure",
            Self::View => "view",
            Self::Function => "function",
            Self::Database => "database",
            Self::Trigger => "trigger",
            Self::TableIndexes => "table_indexs",
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names none of the nine types.
#[derive(Debug, thiserror::Error)]
#[error("expected one of {}", ObjectType::ALL.map(ObjectType::as_str).join(", "))]
pub struct UnknownObjectType;

impl FromStr for ObjectType {
    type Err = UnknownObjectType;

    fn from_str(text: &str) -> Result<Self, UnknownObjectType> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(UnknownObjectType)
    }
}

/// One job and one object type: what is polled together, published together and let go together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The job.
    pub job: JobId,
    /// The type of its objects.
    pub object_type: ObjectType,
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.object_type)
    }
}
