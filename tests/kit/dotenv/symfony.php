<?php
require '/usr/share/php/Symfony/Component/Dotenv/autoload.php';
$values = (new Symfony\Component\Dotenv\Dotenv())->parse(file_get_contents($argv[1]));
echo json_encode((object) $values, JSON_THROW_ON_ERROR);
