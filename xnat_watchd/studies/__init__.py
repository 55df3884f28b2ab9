"""The way of a study: from the drop folder through upload, archive and demographics to the deletion of its ZIP."""
