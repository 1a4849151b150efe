"""The project of the package `pks_client`; inside this repository it is `clients.python.pks_client`."""
