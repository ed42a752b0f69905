//! The words of the domain: jobs, object types, objects, listings and the outcome of a poll. No I/O, and no other module.

mod ids;
mod job;
mod listing;
mod poll;
mod progress;
mod shard;
mod time;

pub(crate) use ids::is_cloud_id;
pub use ids::{GroupKey, InvalidJobId, JobId, ObjectType, UnknownObjectType};
pub use job::{InvalidJobStatus, JobDetails, JobReport, JobStatus, JobView, ListedJob};
pub use listing::{Listing, Object, ObjectName, Objects, Percent, Shown};
pub use poll::{Change, DropReason, ErrorCode, Outcome, PollStatus, Report};
pub use progress::{LastChange, Progress, Standing, States};
pub use shard::{InvalidShard, Shard};
pub(crate) use time::seconds;
