"""Wake-ups: customers gone quiet, addressed with what they looked at."""
