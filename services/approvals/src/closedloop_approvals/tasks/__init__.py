"""Work that a person must do because something happened."""
