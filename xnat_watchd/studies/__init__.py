"""What happens to a study, from the drop folder through upload, archive and demographics to deleting its ZIP."""
