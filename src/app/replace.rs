//! Files that are replaced whole.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the name of a file begins with that is not in its place yet.
const PREFIX: &str = ".drs-exporter-";

/// After this time a file that is not in its place will not come there any more.
const HALF_WRITTEN: Duration = Duration::from_secs(60 * 60);

/// Who may read a file that is private, or not in its place yet: nobody else.
pub(super) const PRIVATE: u32 = 0o600;

/// Puts a new file in the place of the old one, so that whoever reads it sees one of them whole, whatever happens meanwhile, and
/// of several writers one. `mode` says who may read it.
///
/// # Errors
/// When it cannot be written; then the old one stays.
pub(super) fn replace(path: &Path, mode: u32, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let place = place(path);
    // A device or a folder must not make room for a file.
    if place.exists() && !place.is_file() {
        return Err(io::Error::other("what is there is no file"));
    }
    let folder = folder(&place);
    // Opened here, since otherwise an error would name the new file, which is another one each time.
    let open = |path: &Path| File::options().write(true).create_new(true).mode(PRIVATE).open(path);
    let mut file = tempfile::Builder::new().prefix(PREFIX).make_in(folder, open)?;
    let mut out = BufWriter::new(file.as_file_mut());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    // Not when it is made, since the process's umask would take from it.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&place)?;
    // Where this fails, a power cut may bring back the old file, which is whole as well.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Removes what processes that were killed while they replaced a file have left beside it. It is left for an hour, since it may
/// be somebody's who is at it.
pub(super) fn sweep(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder(&place(path)))? {
        let entry = entry?;
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let age = || entry.metadata()?.modified()?.elapsed().map_err(io::Error::other);
        if is_ours && age().is_ok_and(|age| age > HALF_WRITTEN) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn folder(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a file is, or would be, so that a link to it stays one.
pub(super) fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
