"""The hub, shared by data, encoders and captioners: fetching files and checking their checksums."""
