"""The spine under a simulated scheduler, clock, log and network: everything that happens follows from one seed."""
