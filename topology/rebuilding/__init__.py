"""Tables and changelogs of a stage made anew from its inputs."""
