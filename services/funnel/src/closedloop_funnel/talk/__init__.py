"""Talk: what is heard in calls and meetings, each hearing with the sentence that shows it."""
