<?php
error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Dotenv/autoload.php';
echo json_encode((object) Dotenv\Dotenv::parse(file_get_contents($argv[1])), JSON_THROW_ON_ERROR);
