raise SystemExit("hidden folders are passed over")
