//! A folder of segments in the layout that `spool mux` reads: `video/init.mp4`, `video/segment_001.m4s`, `audio/…`.

use crate::Error;
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

    /// How many files are left in it, and removes the folder when there are none.
    pub fn left(&self) -> usize {
        let mut left = 0;
        for track in Track::ALL {
            let folder = self.root.join(track.as_str());
            left += std::fs::read_dir(&folder).map_or(0, |entries| entries.flatten().count());
            // Fails when a file is left, and then it shall stay.
            let _ = std::fs::remove_dir(&folder);
        }
        let _ = std::fs::remove_dir(&self.root);
        left
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
        assert_eq!(folder.left(), 1);
        std::fs::remove_file(path).unwrap();
        assert_eq!(folder.left(), 0);
        assert!(!folder.root().exists());
    }
}
