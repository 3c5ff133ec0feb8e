//! A folder of segments in the layout that `spool mux` reads: `video/init.mp4`, `video/segment_001.m4s`, `audio/…`.

use crate::Error;
use crate::upload::Declaration;
use domain::segment::{Name, Track};
use std::path::{Path, PathBuf};

/// A folder that takes segments.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder; what is in it already stays, files of the same name are replaced.
    pub fn create(root: &Path) -> Result<Folder, Error> {
        for track in Track::ALL {
            let path = root.join(track.as_str());
            std::fs::create_dir_all(&path).map_err(|source| Error::Folder {
                operation: "create folder",
                path,
                source,
            })?;
        }
        Ok(Folder { root: root.to_owned() })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a segment lies.
    pub fn path(&self, track: Track, name: Name) -> PathBuf {
        self.root.join(track.as_str()).join(name.to_string())
    }

    /// Writes a segment: aside first, then renamed, so that a reader never finds half of one. Blocks.
    pub fn put(&self, track: Track, name: Name, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path(track, name);
        let aside = path.with_extension("tmp");
        let written = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Folder { operation: "write segment", path, source }),
        }
    }

    /// How many segments are left in it. Where none of a track is, its initialization section goes too, and at last the
    /// folder; else it stays, because the segments cannot be read without it.
    pub fn left(&self) -> usize {
        let mut left = 0;
        for track in Track::ALL {
            let segments = self.segments(track).map_or(0, |segments| segments.len());
            if segments == 0 {
                // What cannot be removed is not there, or not ours.
                let _ = std::fs::remove_file(self.path(track, Name::Init));
                let _ = std::fs::remove_dir(self.root.join(track.as_str()));
            }
            left += segments;
        }
        if left == 0 {
            let _ = std::fs::remove_file(self.declaration_path());
        }
        let _ = std::fs::remove_dir(&self.root);
        left
    }

    /// Indexes of a track's segments in order; other files are passed over.
    pub(crate) fn segments(&self, track: Track) -> Result<Vec<u32>, Error> {
        let path = self.root.join(track.as_str());
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Folder { operation: "list", path, source }),
        };
        let index = |entry: std::fs::DirEntry| Name::parse(entry.file_name().to_str()?).ok().map(Name::index);
        let mut indexes: Vec<u32> = entries.flatten().filter_map(index).filter(|&index| index > 0).collect();
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// Keeps what could not be declared either. Blocks.
    pub(crate) fn put_declaration(&self, declaration: &Declaration) -> Result<(), Error> {
        let path = self.declaration_path();
        let text = serde_json::to_vec_pretty(declaration).expect("a map of words and numbers is JSON");
        std::fs::write(&path, text).map_err(|source| Error::Folder { operation: "write", path, source })
    }

    /// What [`Folder::put_declaration`] kept; a folder without one tells by its segments.
    pub(crate) fn declaration(&self) -> Option<Declaration> {
        serde_json::from_slice(&std::fs::read(self.declaration_path()).ok()?).ok()
    }

    fn declaration_path(&self) -> PathBuf {
        self.root.join("declaration.json")
    }

    /// A folder that is there already.
    pub(crate) fn open(root: &Path) -> Folder {
        Folder { root: root.to_owned() }
    }

    /// Reads a segment. Blocks.
    pub(crate) fn get(&self, track: Track, name: Name) -> Result<Vec<u8>, Error> {
        let path = self.path(track, name);
        std::fs::read(&path).map_err(|source| Error::Folder { operation: "read segment", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_has_the_layout_that_mux_reads() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("kept")).unwrap();
        let path = folder.put(Track::Audio, Name::Media(7), b"x").unwrap();
        assert!(path.ends_with("kept/audio/segment_007.m4s"));
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        let init = folder.put(Track::Audio, Name::Init, b"i").unwrap();
        assert_eq!((folder.left(), init.exists()), (1, true));
        std::fs::remove_file(path).unwrap();
        assert_eq!(folder.left(), 0);
        assert!(!folder.root().exists());
    }
}
