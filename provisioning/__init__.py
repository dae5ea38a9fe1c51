"""Keys, enrolment and (later) images: the technician's desk."""
