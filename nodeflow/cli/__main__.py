from nodeflow.cli import main

main()
